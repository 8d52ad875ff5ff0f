import { clearTimeout, setTimeout } from "./native.js";
import { Refusal } from "./refusal.js";

/** The pause before a request that was refused temporarily (rate, outage) is sent again, in ms. */
export const RETRY = 1_500;
/** The time after a Join within which the server reports the outcome of an earlier request, in ms. */
const TOLD = 1_500;

/**
 * Requests that the server answers with a frame. They are sent one at a time, because an Error does not
 * say which request it refuses. They outlive a lost connection, and each may be sent twice. A part of
 * client.js.
 */
export class Requests {
  #send;
  #waiting = [];
  #joined = false;
  #sent = false;
  #gone = ""; // why the connection has ended
  #timer = 0;

  /** @param {(type: string, args: object) => void} send */
  constructor(send) {
    this.#send = send;
  }

  /**
   * @param {string} type
   * @param {object} [args]
   * @param {boolean} [counts] whether sending it twice makes a difference; the server then reports
   *        the outcome after a Join
   * @returns {Promise<object>} the args of the answer; rejected with a Refusal
   */
  ask(type, args, counts = false) {
    if (this.#gone) return Promise.reject(new Refusal(this.#gone, "The chat is over."));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ type, args, counts, sent: false, resolve, reject });
      this.#next();
    });
  }

  /** The connection is ready. */
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
   * Handles an answer, which may be for another socket's request.
   * @param {string} type of the request
   * @param {object} args
   * @param {(asked: object) => boolean} [fits] whether it answers a request with these args
   */
  answer(type, args, fits = () => true) {
    this.#settle((one) => one.type === type && fits(one.args), (one) => one.resolve(args));
  }

  /**
   * Handles an Error that is not about a message.
   * @returns {boolean} whether it is about a request
   */
  refuse({ code, message }) {
    if (!this.#sent) return false;
    if (code === "unavailable" || code === "rate_limited") {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#next(), RETRY);
      this.#sent = this.#waiting[0].sent = false;
      return true;
    }
    const [first] = this.#waiting;
    this.#settle((one) => one === first, (one) => one.reject(new Refusal(code, message)));
    return true;
  }

  /** Rejects all requests, because the connection has ended for good. @param {string} code why */
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
    if (first.counts && first.sent) {
      first.sent = false;
      this.#timer = setTimeout(() => this.#next(), TOLD);
      return;
    }
    this.#sent = first.sent = true;
    this.#send(first.type, first.args);
  }
}
