/** What carries the protocol: a connection that stays. A part of client.js. */

import { aborter, clearTimeout, openSocket, parse, setTimeout, stringify } from "./native.js";

/** Longest wait for a connection, for the answer to Join or Load, and for a sign of life, in ms. */
export const PATIENCE = 15_000;
/** How often the server is asked to send a ping, in ms. */
export const HEARTBEAT = 10_000;
/** How long an answer to a question may take that is asked only to see whether there is one, in ms. */
const ANSWER = 4_000;
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
  #heard = 0; // when the last frame came
  #pinged = 0; // and the last ping
  #interval = 0; // between pings; 0 while it is not known
  #promised = false; // that a ping comes each HEARTBEAT

  /**
   * @param {string} url
   * @param {string} pong the answer to a ping
   * @param {{open: function(), receive: function(string, object), lost: function(),
   *          refused: function(), leaving?: function(), ask?: function()}} on
   *        lost: it will come back; refused: it will not; leaving: it is about to be ended, because
   *        the page is left; ask: to send what the server answers, to see whether it is there
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
    if (this.#accepted && Date.now() - this.#heard > this.#silence()) {
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

  /** The server is known to send its ping as often as it was asked to. */
  promised() {
    this.#promised = true;
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
   * A connection can die without a word. What it says is expected as often as it has been pinging;
   * before that is known, it is asked for something if the protocol has a question for that.
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

  /** How often a server pings may be its own setting: then three may be late, not more. */
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
