import { clearTimeout, setTimeout } from "./native.js";
import { Refusal } from "./refusal.js";

/** A request refused for now (rate, outage) is sent again after this time, in ms. */
export const RETRY = 1_500;

/**
 * Requests that a frame of their own answers. An Error does not say which of them it refuses, so
 * one is under way at a time. They outlive a lost connection: each may be sent twice. A part of
 * client.js.
 */
export class Requests {
  #send;
  #waiting = [];
  #joined = false;
  #sent = false;
  #gone = ""; // why there is no connection any more
  #timer = 0;

  /** @param {(type: string, args: object) => void} send */
  constructor(send) {
    this.#send = send;
  }

  /**
   * @param {string} type
   * @param {object} [args]
   * @returns {Promise<object>} the args of its answer; it is rejected with a Refusal
   */
  ask(type, args) {
    if (this.#gone) return Promise.reject(new Refusal(this.#gone, "The chat is over."));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ type, args, resolve, reject });
      this.#next();
    });
  }

  /** The connection takes requests. */
  joined() {
    this.#joined = true;
    this.#gone = "";
    this.#next();
  }

  /** The connection has ended; another one may follow. */
  left() {
    clearTimeout(this.#timer);
    this.#joined = this.#sent = false;
  }

  /**
   * An answer has come; it may be another socket's.
   * @param {string} type of the request
   * @param {object} args
   * @param {(asked: object) => boolean} [fits] whether it answers one with these args
   */
  answer(type, args, fits = () => true) {
    this.#settle((one) => one.type === type && fits(one.args), (one) => one.resolve(args));
  }

  /**
   * An Error has come that is about no message.
   * @returns {boolean} whether it is about a request
   */
  refuse({ code, message }) {
    if (!this.#sent) return false;
    if (code === "unavailable" || code === "rate_limited") {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#next(), RETRY);
      this.#sent = false;
      return true;
    }
    const [first] = this.#waiting;
    this.#settle((one) => one === first, (one) => one.reject(new Refusal(code, message)));
    return true;
  }

  /** The connection has ended for good: none of them will be answered. @param {string} code why */
  giveUp(code) {
    this.left();
    this.#gone = code;
    this.#settle(() => true, (one) => one.reject(new Refusal(code, "The chat is over.")));
  }

  #settle(which, how) {
    const [first] = this.#waiting;
    const settled = this.#waiting.filter(which);
    this.#waiting = this.#waiting.filter((one) => !which(one));
    if (settled.includes(first)) this.#sent = false;
    settled.forEach(how);
    this.#next();
  }

  #next() {
    const [first] = this.#waiting;
    if (!first || !this.#joined || this.#sent) return;
    clearTimeout(this.#timer);
    this.#sent = true;
    this.#send(first.type, first.args);
  }
}
