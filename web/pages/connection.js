/** A WebSocket that reconnects. A part of client.js. */

import { aborter, clearTimeout, openSocket, parse, setTimeout, stringify } from "./native.js";

/** The maximum wait for a connection, for the answer to a Join or Load, and for a sign of life, in ms. */
export const PATIENCE = 15_000;
/** How often the server is asked to send a ping, in ms. */
export const HEARTBEAT = 10_000;
/** How long the server may take to answer a question that only tests the connection, in ms. */
const ANSWER = 4_000;
/** The first and the longest pause before reconnecting, in ms; half of it is random. */
const BACKOFF = { first: 500, longest: 10_000 };
/** The readyState of a WebSocket that can send. */
const OPEN = 1;

/**
 * A WebSocket that answers the heartbeat and reconnects after a loss, with growing random pauses, or at
 * once when the network or the page comes back. After 1008 it only reconnects if there is another
 * token by then.
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
  #heard = 0; // when the last frame came
  #pinged = 0; // when the last ping came
  #interval = 0; // between pings; 0 while unknown
  #promised = false; // a ping will come each HEARTBEAT

  /**
   * @param {string} url
   * @param {string} pong the answer to a ping
   * @param {{open: function(), receive: function(string, object), lost: function(),
   *          refused: function(), leaving?: function(), ask?: function()}} on
   *        lost: it will reconnect; refused: it will not; leaving: it is about to end, because the
   *        page is being left; ask: sends a question to test the connection
   * @param {() => string} token the agent's token, or ""
   */
  constructor(url, pong, on, token = () => "") {
    this.#url = url.replace(/^http/, "ws");
    this.#pong = pong;
    this.#on = on;
    this.#token = token;
  }

  /**
   * Connects. Leaving the page counts as a loss of the connection, because the browser may freeze the
   * page with its socket open, and the participant would look present. It reconnects when the page
   * thaws.
   */
  open() {
    this.close();
    this.#losses = 0;
    this.#kept = aborter();
    const { signal } = this.#kept;
    addEventListener("pagehide", () => this.#left(), { signal });
    addEventListener("offline", () => this.restart(), { signal });
    addEventListener("online", () => this.#hurry(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.#hurry(), { signal });
    addEventListener("focus", () => this.#awake(), { signal });
    document.addEventListener("visibilitychange", () => this.#awake(), { signal });
    document.addEventListener("resume", () => this.#awake(), { signal });
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

  #left() {
    this.#on.leaving?.();
    this.restart();
  }

  /**
   * Gives up this connection and reconnects later.
   * @param {number} least the shortest pause, in ms
   */
  restart(least = 0) {
    this.#drop();
    const pause = Math.max(least * 2, Math.min(BACKOFF.first * 2 ** this.#losses++, BACKOFF.longest));
    this.#timer = setTimeout(() => this.#connect(), pause * (0.5 + Math.random() / 2));
    this.#on.lost();
  }

  /** Ends a pause, because there is reason to believe that reconnecting works now. */
  #hurry() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), Math.random() * BACKOFF.first);
  }

  /** Tests a connection that was silent, because timers stop while a device sleeps. */
  #awake() {
    if (document.visibilityState !== "visible") return;
    if (!this.#socket) return this.#hurry();
    if (this.#accepted && Date.now() - this.#heard > this.#silence()) {
      this.restart();
      this.#hurry();
    }
  }

  /** Records that the server has answered the Join or Load: the next loss counts as the first. */
  accepted() {
    this.#losses = 0;
    this.#accepted = true;
    this.#expectSign();
  }

  /** Records that the server sends its pings at the requested interval. */
  promised() {
    this.#promised = true;
    this.#expectSign();
  }

  /** @returns nothing: a lost frame is noticed by the missing answer */
  send(type, args) {
    if (this.#socket?.readyState === OPEN) {
      this.#socket.send(stringify({ type, args }));
    }
  }

  #connect() {
    const token = this.#shown = this.#token();
    const socket = openSocket(this.#url, token ? ["livesupport", `bearer.${token}`] : []);
    this.#socket = socket;
    this.#accepted = this.#promised = false;
    this.#heard = this.#pinged = this.#interval = 0;
    this.#timer = setTimeout(() => this.restart(), PATIENCE);
    const current = (handle) => (event) => socket === this.#socket && handle(event);
    socket.onopen = current(() => this.#on.open());
    socket.onmessage = current((event) => this.#frame(event.data));
    socket.onclose = current((event) => this.#ended(event.code));
  }

  #frame(data) {
    this.#heard = Date.now();
    if (data === "ping") {
      this.#socket.send(this.#pong);
      if (this.#pinged) this.#interval = this.#heard - this.#pinged;
      this.#pinged = this.#heard;
      return this.#expectSign();
    }
    this.#expectSign();
    const { type, args = {} } = parse(data);
    this.#on.receive(type, args);
  }

  /**
   * Sets the timer for the next sign of life, because a connection can die silently. It expects signs at
   * the interval of the server's pings. While that is unknown, it asks the server a question if the
   * protocol has one.
   */
  #expectSign() {
    if (!this.#accepted) return;
    clearTimeout(this.#timer);
    const silence = this.#silence();
    if (silence < Infinity) {
      this.#timer = setTimeout(() => this.restart(), silence);
    } else if (this.#on.ask) {
      this.#timer = setTimeout(() => this.#ask(), PATIENCE - ANSWER);
    }
  }

  #ask() {
    this.#timer = setTimeout(() => this.restart(), ANSWER);
    this.#on.ask();
  }

  /** The server may have its own interval; at most three of its pings may be late. */
  #silence() {
    if (this.#promised) return PATIENCE;
    if (!this.#interval) return Infinity;
    return this.#interval <= 1.2 * HEARTBEAT ? PATIENCE : 3 * this.#interval;
  }

  #ended(code) {
    const token = this.#token();
    if (code !== 1008 || (token && token !== this.#shown)) return this.restart();
    this.close();
    this.#on.refused();
  }
}

export function address(base, path) {
  return base.replace(/\/+$/, "") + path;
}
