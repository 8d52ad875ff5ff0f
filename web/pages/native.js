/**
 * What the browser itself offers. Monitoring, polyfills and old libraries put something else in its
 * place in many pages, and not always something that does the same. What a page has left alone is
 * taken from it, all else from a blank frame; neither is looked at before it is needed. A part of
 * client.js.
 */

const source = Function.prototype.toString;
/** The frame's window has the browser's own functions. It is out of the page's sight and reach. */
let frame = null;
const taken = new Map();
const said = new Set();

/** Says in the console, once, what a page does that does not go with the chat. */
export function tell(what) {
  if (said.has(what)) return;
  said.add(what);
  console.warn(`livesupport: ${what}`);
}

/** Bound functions and proxies have no name in their text. */
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
    shell.attachShadow({ mode: "closed" }).append(frame); // in no list of the page's frames
    document.documentElement.append(shell);
  }
  return frame.contentWindow;
}

/** What is no function itself, and what of it to look at. */
const MEMBERS = { JSON: "parse", crypto: "getRandomValues" };

function isOwn(name, value) {
  const member = MEMBERS[name];
  if (member) return untouched(value?.[member], member);
  return untouched(value, name) && (name !== "WebSocket" || untouched(value.prototype.send, "send"));
}

/**
 * @param {string} name of something global
 * @returns the page's, or the frame's if the page has replaced it
 */
function native(name) {
  // A frame that was removed or has begun anew takes its sockets along; all else goes on without it.
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

/** A function of the window, which works for the page even if it is the frame's. */
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
/** @returns {AbortSignal} one that comes after so many ms */
export const timeout = (ms) => native("AbortSignal").timeout(ms);
export const parse = (text) => native("JSON").parse(text);

/** JSON of plain values. A toJSON that a library has given to all arrays or objects does not count. */
export function stringify(value) {
  if (Array.isArray(value)) return `[${value.map(stringify).join()}]`;
  if (value === null || typeof value !== "object") return native("JSON").stringify(value) ?? "null";
  const members = Object.keys(value).filter((key) => value[key] !== undefined);
  return `{${members.map((key) => `${stringify(key)}:${stringify(value[key])}`).join()}}`;
}

/** A CustomEvent, also where a library uses the names of the events' constructors for itself. */
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
