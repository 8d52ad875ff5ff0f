/** What takes more of the window than this, in px, is a keyboard on the screen and no bar of the browser. */
const KEYBOARD = 120;

/**
 * Tells an element how much of the window a keyboard on the screen leaves free: the browsers of phones
 * lay it over the page. While there is one, --free-top and --free-height are set.
 * @param {HTMLElement} element
 * @param {AbortSignal} signal ends it
 */
export function besideKeyboard(element, signal) {
  const view = window.visualViewport;
  if (!view) return;
  const measure = () => {
    const there = view.scale < 1.01 && innerHeight - view.height > KEYBOARD; // zoomed in, it is small as well
    element.style.setProperty("--free-top", there ? `${view.offsetTop}px` : "");
    element.style.setProperty("--free-height", there ? `${view.height}px` : "");
  };
  view.addEventListener("resize", measure, { signal });
  view.addEventListener("scroll", measure, { signal });
}
