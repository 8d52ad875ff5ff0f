/**
 * The browser's own functions. In many pages, monitoring, polyfills and old libraries have replaced some
 * of them with something that does not always do the same. Functions that the page has not replaced come
 * from the page, the others from a blank frame, which is created only when it is needed. A part of
 * client.js.
 */

const source = Function.prototype.toString;
/** The window of the frame, which has the browser's own functions. The page cannot see or reach it. */
let frame = null;
const taken = new Map();
const said = new Set();

/** Warns once, in the browser's console, of something in the page that keeps the chat from working. */
export function tell(what) {
  if (said.has(what)) return;
  said.add(what);
  console.warn(`livesupport: ${what}`);
}

/** Returns whether a function is the browser's own. The source text of bound functions and proxies has no name. */
function untouched(f, name) {
  return typeof f === "function" && new RegExp(`^function ${name}\\(\\)\\s*{\\s*\\[native code\\]\\s*}$`).test(source.call(f));
}

/** @returns {Window|null} */
function blank() {
  if (!frame?.contentWindow) {
    if (frame) tell("this page removes the blank frame from which the chat takes what the page has replaced. Connections may be lost.");
    const shell = document.createElement("div");
    shell.style.setProperty("display", "none", "important");
    frame = document.createElement("iframe");
    shell.attachShadow({ mode: "closed" }).append(frame); // so it is not in the page's list of frames
    document.documentElement.append(shell);
  }
  return frame.contentWindow;
}

/** Globals that are not functions, and the functions of theirs to check. */
const MEMBERS = { JSON: "parse", crypto: "getRandomValues" };

function isOwn(name, value) {
  const member = MEMBERS[name];
  if (member) return untouched(value?.[member], member);
  return untouched(value, name) && (name !== "WebSocket" || untouched(value.prototype.send, "send"));
}

/**
 * @param {string} name of a global
 * @returns the page's one, or the frame's if the page has replaced it
 */
function native(name) {
  // The sockets of a frame end if it is removed or reloaded; everything else goes on.
  const before = taken.get(name);
  const lost = before?.foreign && name === "WebSocket" && frame.contentWindow?.[name] !== before.value;
  if (before && !lost) return before.value;
  let value = globalThis[name];
  const foreign = !isOwn(name, value);
  if (foreign) {
    try {
      value = blank()[name];
    } catch {
      tell(`this page replaces ${name}, and the browser's own cannot be had. The chat may not work.`);
      return value;
    }
  }
  taken.set(name, { value, foreign });
  return value;
}

/** A function of the window. It acts on the page even if it comes from the frame. */
const ofWindow = (name) => (...values) => native(name).apply(globalThis, values);

export const fetch = ofWindow("fetch");
export const setTimeout = ofWindow("setTimeout");
export const clearTimeout = ofWindow("clearTimeout");
export const setInterval = ofWindow("setInterval");
export const clearInterval = ofWindow("clearInterval");

/** @returns {WebSocket} */
export const openSocket = (url, protocols) => new (native("WebSocket"))(url, protocols);
/** @returns {XMLHttpRequest} */
export const openRequest = () => new (native("XMLHttpRequest"))();
/** @returns {AbortController} */
export const aborter = () => new (native("AbortController"))();
/** @returns {AbortSignal} a signal after this many ms */
export const timeout = (ms) => native("AbortSignal").timeout(ms);
export const parse = (text) => native("JSON").parse(text);

/** JSON of plain values. It ignores a toJSON that a library has added to all arrays or objects. */
export function stringify(value) {
  if (Array.isArray(value)) return `[${value.map(stringify).join()}]`;
  if (value === null || typeof value !== "object") return native("JSON").stringify(value) ?? "null";
  const members = Object.keys(value).filter((key) => value[key] !== undefined);
  return `{${members.map((key) => `${stringify(key)}:${stringify(value[key])}`).join()}}`;
}

/** A CustomEvent, even if a library has replaced the constructors of events. */
export function customEvent(type, detail) {
  const event = document.createEvent("CustomEvent");
  event.initCustomEvent(type, false, false, detail);
  return event;
}

/** So many random bytes, as hex digits. crypto.randomUUID is missing on pages without TLS. */
export function randomHex(count) {
  let digits = "";
  for (const byte of native("crypto").getRandomValues(new Uint8Array(count))) {
    digits += byte.toString(16).padStart(2, "0");
  }
  return digits;
}
