/**
 * What happens in the widget stays in it. A page's shortcuts take a key for themselves because they
 * see no field of theirs under it, its modals take the focus back, others forbid the clipboard or
 * the context menu.
 */

/** What the page gets before the widget, on the way down: it gets a copy of its own instead. */
const TAKEN = [
  "keydown", "keypress", "keyup", "focus", "blur", "focusin", "focusout",
  "pointerdown", "pointerup", "mousedown", "mouseup", "click", "dblclick",
];
/** What ends at the widget's edge, on the way up. */
const STOPPED = [
  "beforeinput", "input", "compositionstart", "compositionupdate", "compositionend",
  "copy", "cut", "paste", "drop", "dragenter", "dragleave", "dragover", "dragstart", "selectstart", "contextmenu",
  "touchstart", "touchmove", "touchend", "wheel",
];

/**
 * @param {ShadowRoot} root the widget's
 * @param {AbortSignal} signal ends it
 */
export function bound(root, signal) {
  for (const type of TAKEN) addEventListener(type, (event) => take(root, event), { capture: true, signal });
  addEventListener("touchstart", (event) => isIn(root, event) && event.stopImmediatePropagation(), { capture: true, passive: true, signal });
  for (const type of STOPPED) root.addEventListener(type, (event) => event.stopPropagation(), { passive: true, signal });
}

function isIn(root, event) {
  const [target] = event.composedPath();
  return target.getRootNode?.() === root; // a window has none
}

/**
 * Ends an event at the window and gives a copy that leaves nothing to the page to the widget. What
 * the browser does after an event it does after the original, if the widget has not prevented it.
 */
function take(root, event) {
  if (!isIn(root, event)) return;
  event.stopImmediatePropagation();
  const copy = copied(event);
  const prevent = copy.preventDefault;
  copy.preventDefault = () => event.preventDefault();
  root.addEventListener(event.type, () => prevent.call(copy), { capture: true, once: true });
  event.composedPath()[0].dispatchEvent(copy);
}

/** What the copies of a key's event and of a click say of it. */
const KEY = ["key", "code", "location", "repeat", "isComposing", "keyCode", "charCode", "which", "altKey", "ctrlKey", "metaKey", "shiftKey"];
const CLICK = ["button", "buttons", "clientX", "clientY", "altKey", "ctrlKey", "metaKey", "shiftKey"];

function copied(event) {
  const values = new Proxy(event, { get: (of, name) => (name === "composed" ? false : of[name]) });
  // A click that is a MouseEvent would check a radio button or a checkbox, and when it is prevented
  // take that back, with what the original has done.
  if (event.type === "click") return plain(event, values, CLICK);
  const copy = new event.constructor(event.type, values);
  // In Firefox every KeyboardEvent leaves the shadow root, whatever it is told.
  return copy.composed ? plain(event, values, KEY) : copy;
}

function plain(event, values, names) {
  const copy = new UIEvent(event.type, values);
  for (const name of names) Object.defineProperty(copy, name, { value: event[name] });
  return copy;
}
