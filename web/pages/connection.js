/** What carries the protocol: a connection that stays. A part of client.js. */

import { aborter, clearTimeout, openSocket, parse, setTimeout, stringify } from "./native.js";

/** Longest wait for a connection, for the answer to Join or Load, and for a sign of life, in ms. */
export const PATIENCE = 15_000;
/** First and longest pause before a new connection, in ms; half of it is random. */
const BACKOFF = { first: 500, longest: 10_000 };
/** The readyState of a WebSocket that can send. */
const OPEN = 1;

/**
 * A WebSocket that answers the heartbeat and comes back after a loss, at growing and random
 * pauses, or at once when the network or the page comes back. It does not come back after 1008,
 * unless there is another token to show by now.
 */
export class Connection {
  #url;
  #pong;
  #on;
  #token;
  #shown = "";
  #socket = null;
  #kept = null;
  #timer = 0;
  #losses = 0;
  #accepted = false;
  #heard = 0;
  #interval = 0;

  /**
   * @param {string} url
   * @param {string} pong the answer to a ping
   * @param {{open: function(), receive: function(string, object), lost: function(),
   *          refused: function()}} on
   *        lost: it will come back; refused: it will not
   * @param {() => string} token what an agent shows to servers that ask for it, or ""
   */
  constructor(url, pong, on, token = () => "") {
    this.#url = url.replace(/^http/, "ws");
    this.#pong = pong;
    this.#on = on;
    this.#token = token;
  }

  /**
   * Connects. A page that is left may be frozen with its socket open, and the server would take
   * the participant for present: so leaving it is a loss, and the way back begins when it thaws.
   */
  open() {
    this.close();
    this.#losses = 0;
    this.#kept = aborter();
    const { signal } = this.#kept;
    addEventListener("pagehide", () => this.restart(), { signal });
    addEventListener("offline", () => this.restart(), { signal });
    addEventListener("online", () => this.#hurry(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.#hurry(), { signal });
    document.addEventListener("visibilitychange", () => this.#awake(), { signal });
    this.#connect();
  }

  /** Ends the connection without a further call to the handlers. */
  close() {
    this.#kept?.abort();
    this.#kept = null;
    this.#drop();
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  /**
   * Gives this connection up and comes back later.
   * @param {number} least the shortest pause, in ms
   */
  restart(least = 0) {
    this.#drop();
    const pause = Math.max(least * 2, Math.min(BACKOFF.first * 2 ** this.#losses++, BACKOFF.longest));
    this.#timer = setTimeout(() => this.#connect(), pause * (0.5 + Math.random() / 2));
    this.#on.lost();
  }

  /** Ends a pause: there is a reason to believe that it works now. */
  #hurry() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), Math.random() * BACKOFF.first);
  }

  /** Timers stand still while a machine sleeps: a connection that has been silent is not trusted. */
  #awake() {
    if (document.visibilityState !== "visible") return;
    if (!this.#socket) return this.#hurry();
    if (this.#accepted && this.#interval && Date.now() - this.#heard > this.#silence()) {
      this.restart();
      this.#hurry();
    }
  }

  /** The server has answered Join or Load: the next loss counts as the first. */
  accepted() {
    this.#losses = 0;
    this.#accepted = true;
    this.#expectSign();
  }

  /** @returns nothing: what does not arrive is noticed by the missing answer */
  send(type, args) {
    if (this.#socket?.readyState === OPEN) {
      this.#socket.send(stringify({ type, args }));
    }
  }

  #connect() {
    const token = this.#shown = this.#token();
    const socket = openSocket(this.#url, token ? ["livesupport", `bearer.${token}`] : []);
    this.#socket = socket;
    this.#accepted = false;
    this.#heard = this.#interval = 0;
    this.#timer = setTimeout(() => this.restart(), PATIENCE);
    const current = (handle) => (event) => socket === this.#socket && handle(event);
    socket.onopen = current(() => this.#on.open());
    socket.onmessage = current((event) => this.#frame(event.data));
    socket.onclose = current((event) => this.#ended(event.code));
  }

  #frame(data) {
    if (data === "ping") {
      this.#socket.send(this.#pong);
      const now = Date.now();
      if (this.#heard) this.#interval = now - this.#heard;
      this.#heard = now;
      return this.#expectSign();
    }
    const { type, args = {} } = parse(data);
    this.#on.receive(type, args);
  }

  /** A connection can die without a word: three heartbeats may be late, not more. */
  #expectSign() {
    if (!this.#accepted) return;
    clearTimeout(this.#timer);
    if (!this.#interval) return; // how often the server pings is its own setting
    this.#timer = setTimeout(() => this.restart(), this.#silence());
  }

  #silence() {
    return Math.max(PATIENCE, 3 * this.#interval);
  }

  #ended(code) {
    const token = this.#token();
    if (code !== 1008 || (token && token !== this.#shown)) return this.restart();
    this.close();
    this.#on.refused();
  }
}
