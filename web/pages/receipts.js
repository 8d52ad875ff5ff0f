import { clearTimeout, setTimeout } from "./native.js";

/** The server is told of marks this far apart at least, in ms. */
const PAUSE = 1_000;

/** @typedef {{delivered: number, read: number}} Marks numbers of messages: up to there */

/**
 * How far both sides have got and read a chat's messages. Marks only grow. What the page has is
 * reported as delivered by itself; what its person has seen is reported by read(). A part of
 * client.js.
 */
export class Receipts {
  /** @type {{User: Marks, Support: Marks}} */
  marks = { User: { delivered: 0, read: 0 }, Support: { delivered: 0, read: 0 } };

  #chat;
  #told = { delivered: 0, read: 0 }; // what the server knows of this side's marks
  #looked = 0; // how many messages have been looked at
  #newest = 0; // the number of the other side's newest among them
  #next = 0; // before this time nothing is sent
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

  /** How many of the other side's messages have not been read, on any device. */
  get unread() {
    const { messages, other } = this.#chat;
    let count = 0;
    for (let at = messages.length; at > this.#own.read; at--) {
      if (messages[at - 1].from === other) count++;
    }
    return count;
  }

  /**
   * How far a message of this side has come.
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
    const read = Math.min(upTo, this.#newest);
    if (this.#grow(this.#chat.role, { read })) this.#schedule();
  }

  /** Messages have come. */
  came() {
    const { messages, other } = this.#chat;
    for (; this.#looked < messages.length; this.#looked++) {
      if (messages[this.#looked].from === other) this.#newest = this.#looked + 1;
    }
    if (this.#grow(this.#chat.role, { delivered: this.#newest })) this.#schedule();
  }

  /** The server tells a side's marks. */
  take({ from, delivered, read }) {
    if (from === this.#chat.role) raise(this.#told, { delivered, read });
    if (this.marks[from]) this.#grow(from, { delivered, read });
  }

  /** Joined: the server is about to tell what it knows. */
  joined() {
    this.#told = { delivered: 0, read: 0 };
    this.#next = Date.now() + PAUSE;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#schedule();
  }

  /** The connection is about to end, or has ended: what can still be told is told now. */
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

/** @param {Marks} marks @returns {boolean} whether one has grown */
function raise(marks, { delivered = 0, read = 0 }) {
  const before = marks.delivered + marks.read;
  marks.read = Math.max(marks.read, read);
  marks.delivered = Math.max(marks.delivered, delivered, marks.read);
  return marks.delivered + marks.read > before;
}
