/** If more than this is missing from the window, in px, it is an on-screen keyboard and not a bar of the browser. */
const KEYBOARD = 120;

/**
 * Sets --free-top and --free-height on an element while an on-screen keyboard is open: the part of the
 * window that it leaves free. Browsers on phones lay the keyboard over the page.
 * @param {HTMLElement} element
 * @param {AbortSignal} signal ends it
 */
export function besideKeyboard(element, signal) {
  const view = window.visualViewport;
  if (!view) return;
  const measure = () => {
    const there = view.scale < 1.01 && innerHeight - view.height > KEYBOARD; // zooming in also makes it small
    element.style.setProperty("--free-top", there ? `${view.offsetTop}px` : "");
    element.style.setProperty("--free-height", there ? `${view.height}px` : "");
  };
  view.addEventListener("resize", measure, { signal });
  view.addEventListener("scroll", measure, { signal });
}
