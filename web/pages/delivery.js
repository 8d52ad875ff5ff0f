import { clearTimeout, randomHex, setTimeout } from "./native.js";
import { RETRY } from "./requests.js";

/** How long a message may take to get a receipt or refusal before the connection counts as dead, in ms. */
const RECEIPT = 10_000;

/**
 * Sends messages, each once and in order. Only one is in flight at a time, so that later messages never
 * overtake a refused one. A part of client.js.
 */
export class Delivery {
  #outbox;
  #on;
  #joined = false;
  #sent = ""; // the messageId in flight
  #over = ""; // why no more messages are accepted
  #timer = 0;

  /**
   * @param {import("./client.js").Outgoing[]} outbox is updated in place
   * @param {{send: (entry: import("./client.js").Outgoing) => void, changed: () => void,
   *          silent: () => void}} on
   *        changed: the outbox has changed; silent: neither receipt nor refusal has come
   */
  constructor(outbox, on) {
    this.#outbox = outbox;
    this.#on = on;
  }

  /** @param {string} content @param {import("./uploads.js").Attachment[]} files */
  send(content, files) {
    const entry = { messageId: randomHex(16), content };
    if (files.length) entry.files = files;
    if (this.#over) entry.problem = this.#over;
    this.#outbox.push(entry);
    this.#settled();
  }

  /** @param {string} messageId of a refused message */
  retry(messageId) {
    const entry = this.#over ? undefined : this.#take(messageId);
    if (!entry) return;
    delete entry.problem;
    this.#outbox.push(entry);
    this.#settled();
  }

  /** @param {string} messageId of a refused message */
  discard(messageId) {
    this.#take(messageId);
    this.#on.changed();
  }

  #take(messageId) {
    const at = this.#outbox.findIndex((one) => one.messageId === messageId && one.problem);
    return at < 0 ? undefined : this.#outbox.splice(at, 1)[0];
  }

  /** The connection is ready. */
  joined() {
    this.#joined = true;
    this.#next();
  }

  /** The connection has ended; another one may follow. */
  left() {
    this.#joined = false;
    this.#sent = "";
    clearTimeout(this.#timer);
  }

  /** The chat accepts no more messages. @param {string} problem the code that says why */
  over(problem) {
    this.#over = problem;
    for (const entry of this.#outbox) entry.problem ??= problem;
    this.#settled();
  }

  /** The server has delivered messages of this side. @param {import("./client.js").Message[]} messages */
  arrived(messages) {
    const ids = new Set(messages.map(({ messageId }) => messageId));
    const left = this.#outbox.filter(({ messageId }) => !ids.has(messageId));
    this.#outbox.splice(0, this.#outbox.length, ...left);
    this.#settled();
  }

  /** Handles an Error. Without a messageId it is about the message in flight. */
  refused({ code, messageId }) {
    const first = this.#first;
    if (!first || (messageId && messageId !== first.messageId)) return;
    if (code === "unavailable" || code === "rate_limited") {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#next(), RETRY);
      return;
    }
    first.problem = code;
    this.#settled();
  }

  get #first() {
    return this.#outbox.find((entry) => !entry.problem);
  }

  /** Reports a change of the outbox, and sends the next message. */
  #settled() {
    this.#on.changed();
    if (this.#first?.messageId !== this.#sent) this.#next();
  }

  #next() {
    clearTimeout(this.#timer);
    this.#sent = "";
    const first = this.#first;
    if (!first || !this.#joined) return;
    this.#sent = first.messageId;
    this.#on.send(first);
    this.#timer = setTimeout(() => this.#on.silent(), RECEIPT);
  }
}
