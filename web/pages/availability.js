/** Whether agents are available. A part of client.js. */

import { customEvent } from "./native.js";
import { status } from "./registration.js";

/** How long a response is used, in ms. */
const FRESH = 30_000;

/**
 * The availability of a server's desk, on request. Event: `change`, after each response.
 */
export class Availability extends EventTarget {
  /** The last response to GET /status; null while unknown, or if the server has none. @type {object|null} */
  status = null;
  /** Whether the server was asked, with or without success. */
  asked = false;

  #base;
  #at = -Infinity;
  #asking = null;

  /** @param {string} base the chat server's URL */
  constructor(base) {
    super();
    this.#base = base;
  }

  /**
   * - "": unknown
   * - open: agents are available
   * - nobody: it is open, but no agent is there, or all have the maximum number of chats
   * - closed: `status.opens` says when it opens
   * @returns {""|"open"|"nobody"|"closed"}
   */
  get state() {
    if (!this.status) return "";
    if (this.status.open === false) return "closed";
    return this.status.agents === 0 ? "nobody" : "open";
  }

  /**
   * Asks the server, unless the last response is fresh enough.
   * @param {number} [fresh] how old a response may be, in ms
   * @returns {Promise<void>} when the response is there
   */
  async ask(fresh = FRESH) {
    if (performance.now() - this.#at >= fresh) this.#asking ??= this.#ask();
    await this.#asking;
  }

  async #ask() {
    const answer = await status(this.#base);
    this.#at = performance.now();
    this.status = answer ?? this.status;
    this.asked = true;
    this.#asking = null;
    this.dispatchEvent(customEvent("change"));
  }
}
