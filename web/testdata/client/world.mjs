// A page and a server for the tests of client.js: what of a browser the modules use, a clock that
// the test moves, and sockets whose other end is the test.

let now = Date.parse("2026-03-01T12:00:00Z");
const timers = new Map();
let last = 0;
Date.now = () => now;
globalThis.setTimeout = (call, ms = 0) => {
  timers.set(++last, { call, at: now + Math.max(0, ms) });
  return last;
};
globalThis.clearTimeout = (timer) => timers.delete(timer);

/** Lets so many ms pass, and all that was waiting for them happen. */
export async function pass(ms) {
  for (const end = now + ms;;) {
    const [next] = [...timers].sort(([, one], [, other]) => one.at - other.at);
    if (!next || next[1].at > end) {
      now = end;
      return settled();
    }
    const [timer, { call, at }] = next;
    timers.delete(timer);
    now = Math.max(now, at);
    call();
    await settled();
  }
}

/** Promises that can go on have done so. */
export async function settled() {
  for (let i = 0; i < 10; i++) await null;
}

/** The time goes on and no timer fires, as in a machine that sleeps. */
export function sleep(ms) {
  now += ms;
}

class LateEvent extends Event {
  #type;
  detail;

  constructor() {
    super("late");
  }

  initCustomEvent(type, _bubbles, _cancelable, detail) {
    Object.assign(this, { detail });
    this.#type = type;
  }

  get type() {
    return this.#type;
  }
}

const page = new EventTarget();
page.visibilityState = "visible";
page.createEvent = () => new LateEvent();
globalThis.document = page;
const view = new EventTarget();
globalThis.addEventListener = view.addEventListener.bind(view);
globalThis.dispatch = (type) => view.dispatchEvent(new Event(type));

/** The page is hidden or comes back. */
export function visible(yes) {
  page.visibilityState = yes ? "visible" : "hidden";
  page.dispatchEvent(new Event("visibilitychange"));
}

/** All sockets that have been opened. */
export const sockets = [];

globalThis.WebSocket = class {
  readyState = 0;
  /** @type {{type: string, args: object}[]} what the page has sent */
  sent = [];
  pongs = 0;

  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    sockets.push(this);
  }

  send(text) {
    if (this.readyState !== 1) throw new Error("send to a socket that is not open");
    if (text.startsWith("pong:")) this.pongs++;
    else this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  // The server's end:
  accept() {
    this.readyState = 1;
    this.onopen?.({});
    this.ping();
  }

  ping() {
    this.onmessage?.({ data: "ping" });
  }

  tell(type, args) {
    this.onmessage?.({ data: JSON.stringify({ type, args }) });
  }

  drop(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  /** What was sent of a type since it was last asked for. */
  take(type) {
    const found = this.sent.filter((frame) => frame.type === type).map(({ args }) => args);
    this.sent = this.sent.filter((frame) => frame.type !== type);
    return found;
  }
};

/** The socket that was opened last. */
export const latest = () => sockets.at(-1);

console.warn = () => {}; // that these are not a browser's own

/** Keeps a list of what an object tells. */
export function heard(target, ...types) {
  const list = [];
  for (const type of types) target.addEventListener(type, ({ detail }) => list.push([type, detail]));
  return list;
}
