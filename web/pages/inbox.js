import { finishMessage, leftMessages } from "./client.js";

/** The time between two requests for new messages, in seconds. */
const LOOK = 60;
/** The number of messages in one request. */
const PAGE = 200;

/**
 * The messages that visitors have left, for a session, which dispatches the changes.
 *
 * @typedef {{messageId: string, name: string, email: string, content: string, team: string|null,
 *            details: object|null, timestamp: string, done: boolean}} Left
 */
export class Inbox {
  /** Whether the server stores messages and lets this agent see them. */
  there = false;
  /** Whether the list has the messages that are done, instead of the open ones. */
  done = false;
  /** The team whose messages are listed, or "" for all. */
  team = "";
  /** The teams that had messages. @type {Set<string>} */
  teams = new Set();
  /** @type {Left[]} newest first */
  messages = [];
  /** The number of open messages of all teams, as far as they are loaded. */
  waiting = 0;
  /** Whether the server has more. */
  more = false;
  /** The code of the last request's failure, or "". */
  problem = "";

  #ask;
  #changed;
  #next = null;
  #seconds = 0;
  #turn = 0;

  /**
   * @param {() => {base: string, token: string}} ask returns the lobby's URL and the agent's token
   * @param {() => void} changed
   */
  constructor(ask, changed) {
    this.#ask = ask;
    this.#changed = changed;
  }

  /** The agent has signed in. @param {boolean} kept whether the server stores messages */
  async open(kept) {
    this.there = kept;
    if (kept) await this.show(false);
  }

  close() {
    this.#turn++;
    Object.assign(this, { there: false, done: false, team: "", teams: new Set(), messages: [], waiting: 0, more: false, problem: "" });
  }

  /** Is called each second. */
  tick() {
    if (!this.there || document.hidden || ++this.#seconds < LOOK) return;
    this.#seconds = 0;
    if (!this.done && this.messages.length <= PAGE) this.show(false, this.team);
  }

  /**
   * Lists the open messages, or those that are done.
   * @param {boolean} done
   * @param {string} [team] only those of this team
   */
  show(done, team = "") {
    this.#seconds = 0;
    return this.#load(done, team, "");
  }

  /** Loads more messages. */
  further() {
    return this.#load(this.done, this.team, this.#next ?? "");
  }

  async #load(done, team, cursor) {
    const turn = ++this.#turn;
    const { base, token } = this.#ask();
    try {
      const { messages, next } = await leftMessages(base, token, { done, team, cursor, limit: PAGE });
      if (turn !== this.#turn) return;
      const those = messages.filter((one) => !team || one.team === team); // an older server sends those of all teams
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

  /** Marks a message as done. @param {string} messageId */
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
