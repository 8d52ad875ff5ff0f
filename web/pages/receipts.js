import { clearTimeout, setTimeout } from "./native.js";

/** The minimum time between two Receipts, in ms. */
const PAUSE = 1_000;

/** @typedef {{delivered: number, read: number}} Marks the numbers of the last messages */

/**
 * Which of a chat's messages both sides have received and read. Marks never go back. Messages that
 * the page has are reported as delivered automatically; call read() when the person has seen them. A
 * part of client.js.
 */
export class Receipts {
  /** @type {{User: Marks, Support: Marks}} */
  marks = { User: { delivered: 0, read: 0 }, Support: { delivered: 0, read: 0 } };

  #chat;
  #told = { delivered: 0, read: 0 }; // what the server knows of this side's marks
  #looked = 0; // number of messages handled so far
  #newest = 0; // the number of the other side's newest among them
  #next = 0; // time of the next Receipt at the earliest
  #timer = 0;

  /** @param {import("./client.js").Link} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  get #own() {
    return this.marks[this.#chat.role];
  }

  get #others() {
    return this.marks[this.#chat.other];
  }

  /** The number of the other side's messages that were not read on any device. */
  get unread() {
    const { messages, other } = this.#chat;
    let count = 0;
    for (let at = messages.length; at > this.#own.read; at--) {
      if (messages[at - 1].from === other) count++;
    }
    return count;
  }

  /**
   * The state of a message of this side.
   * @param {import("./client.js").Message} message
   * @returns {"sent"|"delivered"|"read"}
   */
  of({ seq = Infinity }) {
    const { delivered, read } = this.#others;
    return seq <= read ? "read" : seq <= delivered ? "delivered" : "sent";
  }

  /**
   * The person has seen the messages, all of them or up to one.
   * @param {number} [upTo] its number: 1 for the chat's first
   */
  read(upTo = Infinity) {
    if (this.#chat.looksOn) return;
    const read = Math.min(upTo, this.#newest);
    if (this.#grow(this.#chat.role, { read })) this.#schedule();
  }

  /** Handles new messages. */
  came() {
    const { messages, other } = this.#chat;
    for (; this.#looked < messages.length; this.#looked++) {
      if (messages[this.#looked].from === other) this.#newest = this.#looked + 1;
    }
    if (!this.#chat.looksOn && this.#grow(this.#chat.role, { delivered: this.#newest })) this.#schedule();
  }

  /** Handles a Receipt from the server. */
  take({ from, delivered, read }) {
    if (from === this.#chat.role) raise(this.#told, { delivered, read });
    if (this.marks[from]) this.#grow(from, { delivered, read });
  }

  /** Resets what the server knows after a Join, because the server is about to send it. */
  joined() {
    this.#told = { delivered: 0, read: 0 };
    this.#next = Date.now() + PAUSE;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#schedule();
  }

  /** Sends unsent marks now, if possible, because the connection is about to end. */
  flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const { delivered, read } = this.#own;
    const marks = {};
    if (read > this.#told.read) marks.read = read;
    if (delivered > Math.max(this.#told.delivered, read)) marks.delivered = delivered;
    if (Object.keys(marks).length === 0 || !this.#chat.signal("Receipt", marks)) return;
    raise(this.#told, { delivered, read });
    this.#next = Date.now() + PAUSE;
  }

  #schedule() {
    this.#timer ||= setTimeout(() => this.flush(), Math.max(0, this.#next - Date.now()));
  }

  #grow(from, marks) {
    if (!raise(this.marks[from], marks)) return false;
    this.#chat.tell("receipt", { from, ...this.marks[from] });
    return true;
  }
}

/** @param {Marks} marks @returns {boolean} whether one has changed */
function raise(marks, { delivered = 0, read = 0 }) {
  const before = marks.delivered + marks.read;
  marks.read = Math.max(marks.read, read);
  marks.delivered = Math.max(marks.delivered, delivered, marks.read);
  return marks.delivered + marks.read > before;
}
