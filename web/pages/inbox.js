import { finishMessage, leftMessages } from "./client.js";

/** How often it is looked for new ones, in seconds. */
const LOOK = 60;
/** So many are asked for at once. */
const PAGE = 200;

/**
 * The messages that visitors have left, for a session. Its changes are the session's.
 *
 * @typedef {{messageId: string, name: string, email: string, content: string, team: string|null,
 *            details: object|null, timestamp: string, done: boolean}} Left
 */
export class Inbox {
  /** Whether there is one: the server keeps messages, and lets this agent see them. */
  there = false;
  /** Whether those are listed that somebody has seen to, instead of those that wait. */
  done = false;
  /** The team whose messages are listed, or "" for all. */
  team = "";
  /** Teams of which there have been messages. @type {Set<string>} */
  teams = new Set();
  /** @type {Left[]} newest first */
  messages = [];
  /** How many wait, of all teams, as far as they are listed. */
  waiting = 0;
  /** Whether there are more. */
  more = false;
  /** Why the last request has failed: a code, or "". */
  problem = "";

  #ask;
  #changed;
  #next = null;
  #seconds = 0;
  #turn = 0;

  /**
   * @param {() => {base: string, token: string}} ask of whom
   * @param {() => void} changed
   */
  constructor(ask, changed) {
    this.#ask = ask;
    this.#changed = changed;
  }

  /** The agent begins to work. @param {boolean} kept whether the server keeps messages */
  async open(kept) {
    this.there = kept;
    if (kept) await this.show(false);
  }

  close() {
    this.#turn++;
    Object.assign(this, { there: false, done: false, team: "", teams: new Set(), messages: [], waiting: 0, more: false, problem: "" });
  }

  /** A second has gone by. */
  tick() {
    if (!this.there || document.hidden || ++this.#seconds < LOOK) return;
    this.#seconds = 0;
    if (!this.done && this.messages.length <= PAGE) this.show(false, this.team);
  }

  /**
   * Lists those that wait, or those that are done.
   * @param {boolean} done
   * @param {string} [team] those of one team alone
   */
  show(done, team = "") {
    this.#seconds = 0;
    return this.#load(done, team, "");
  }

  /** Lists more of them. */
  further() {
    return this.#load(this.done, this.team, this.#next ?? "");
  }

  async #load(done, team, cursor) {
    const turn = ++this.#turn;
    const { base, token } = this.#ask();
    try {
      const { messages, next } = await leftMessages(base, token, { done, team, cursor, limit: PAGE });
      if (turn !== this.#turn) return;
      const those = messages.filter((one) => !team || one.team === team); // a server from before sends all
      this.messages = cursor ? [...this.messages, ...those] : those;
      for (const one of messages) if (one.team) this.teams.add(one.team);
      this.done = done;
      this.team = team;
      this.#next = next;
      this.more = next !== null;
      this.problem = "";
    } catch ({ code }) {
      if (turn !== this.#turn) return;
      this.problem = code;
      if (["not_found", "unauthorized", "forbidden"].includes(code)) this.there = false;
    }
    this.#count();
  }

  /** Somebody has seen to a message. @param {string} messageId */
  async finish(messageId) {
    const { base, token } = this.#ask();
    const turn = this.#turn;
    try {
      await finishMessage(base, token, messageId);
      if (turn !== this.#turn) return;
      this.messages = this.messages.filter((one) => one.messageId !== messageId);
      if (this.team) this.waiting = Math.max(0, this.waiting - 1);
      this.problem = "";
    } catch ({ code }) {
      this.problem = code;
    }
    this.#count();
  }

  #count() {
    if (!this.done && !this.team) this.waiting = this.messages.length;
    this.#changed();
  }
}
