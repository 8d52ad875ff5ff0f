/**
 * Keeps the widget's events from the page. Otherwise a page's shortcuts would take keys that are typed
 * into the widget, its modal dialogs would take the focus back, and some pages would block the clipboard
 * or the context menu.
 */

/** Events that the page could catch before the widget does: the widget gets a copy instead. */
const TAKEN = [
  "keydown", "keypress", "keyup", "focus", "blur", "focusin", "focusout",
  "pointerdown", "pointerup", "mousedown", "mouseup", "click", "dblclick",
];
/** Events that stop at the widget's edge when they bubble. */
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
  return target.getRootNode?.() === root; // a window has no root node
}

/**
 * Stops an event at the window, and dispatches a copy inside the widget that the page does not get. The
 * browser's default action follows the original, unless the widget prevents it on the copy.
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

/** The properties that copies of keyboard events and clicks have. */
const KEY = ["key", "code", "location", "repeat", "isComposing", "keyCode", "charCode", "which", "altKey", "ctrlKey", "metaKey", "shiftKey"];
const CLICK = ["button", "buttons", "clientX", "clientY", "altKey", "ctrlKey", "metaKey", "shiftKey"];

function copied(event) {
  const values = new Proxy(event, { get: (of, name) => (name === "composed" ? false : of[name]) });
  // A copy that is a MouseEvent would also toggle a radio button or a checkbox. If it were prevented,
  // that would undo what the original has done.
  if (event.type === "click") return plain(event, values, CLICK);
  const copy = new event.constructor(event.type, values);
  // In Firefox every KeyboardEvent leaves the shadow root, even with composed: false.
  return copy.composed ? plain(event, values, KEY) : copy;
}

function plain(event, values, names) {
  const copy = new UIEvent(event.type, values);
  for (const name of names) Object.defineProperty(copy, name, { value: event[name] });
  return copy;
}
