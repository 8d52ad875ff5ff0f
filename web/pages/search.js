import { archivedChat, deleteChat, deleteVisitor, earlierChats, figures, searchChats, transcriptOf } from "./archive.js";
import { Record } from "./record.js";

/** How long the search waits for the next key, in ms. */
const TYPING = 250;
/** The number of chats in one request. */
const PAGE = 50;
/** The maximum number of chats in the list. To find others, narrow the search. */
const MOST = 1_000;
/** The time between two questions whether there is an archive, while that is unknown, in seconds. */
const LOOK = 30;

/**
 * The archived chats, for a session, which dispatches the changes: whether this agent may see them, the
 * search with its results, and the open chat.
 *
 * @typedef {import("./archive.js").Kept} Kept
 * @typedef {{query: string, agent: string, team: string, from: string, to: string}} Wanted from and to
 *          are days in the reader's time zone, such as 2026-11-28, both included; "" for no bound
 */
export class Search {
  /**
   * Whether there is an archive, and this agent may see it: `open`; `none`: there is none; `closed`:
   * the server shows it to nobody on this machine; `unknown` until it has answered.
   * @type {"unknown"|"open"|"none"|"closed"}
   */
  access = "unknown";
  /** @type {Wanted} */
  wanted = { query: "", agent: "", team: "", from: "", to: "" };
  /** The results, newest first. @type {Kept[]} */
  found = [];
  /** Whether there are more results, and whether they can be listed. */
  more = false;
  full = false;
  /** Whether a search is running. */
  searching = false;
  /** The code of the last search's failure, or "". */
  problem = "";
  /** The names of the agents of the chats seen so far, by their sub or name. @type {Map<string, string>} */
  agents = new Map();
  /** The teams of those chats. @type {Set<string>} */
  teams = new Set();
  /** The chatId of the open chat, or "". */
  selected = "";
  /** The open chat; null until it is loaded. @type {Record|null} */
  record = null;
  /** The code of the open chat's failure, or "". */
  recordProblem = "";

  #ask;
  #addressOf;
  #changed;
  #next = null;
  #timer = 0;
  #under = null; // the AbortController of the running search
  #reading = null; // that of the chat which is being loaded
  #seconds = 0;
  #turn = 0;

  /**
   * @param {() => {base: string, token: string}} ask returns the lobby's URL and the agent's token
   * @param {(file: import("./uploads.js").Attachment) => string} addressOf returns the URL of a file
   * @param {() => void} changed
   */
  constructor(ask, addressOf, changed) {
    this.#ask = ask;
    this.#addressOf = addressOf;
    this.#changed = changed;
  }

  /** The agent has signed in. @param {boolean} kept whether the server has an archive, as far as is known */
  async open(kept) {
    const turn = ++this.#turn;
    let access = "none";
    if (kept) {
      try {
        await searchChats(this.#ask(), { limit: 1 });
        access = "open";
      } catch ({ code }) {
        access = { not_found: "none", unauthorized: "closed", forbidden: "closed", unreachable: "unknown" }[code] ?? "open";
      }
    }
    if (turn !== this.#turn) return;
    this.access = access;
    this.#changed();
  }

  /** The agent has signed out: forgets everything. */
  close() {
    this.#turn++;
    clearTimeout(this.#timer);
    this.#under?.abort();
    this.read("");
    Object.assign(this, {
      access: "unknown", wanted: { query: "", agent: "", team: "", from: "", to: "" }, found: [], more: false, full: false,
      searching: false, problem: "", agents: new Map(), teams: new Set(),
    });
  }

  /** Is called each second. */
  tick() {
    if (this.access !== "unknown" || document.hidden || ++this.#seconds < LOOK) return;
    this.#seconds = 0;
    this.open(true);
  }

  /**
   * Changes the search.
   * @param {Partial<Wanted>} wanted
   * @param {boolean} [typed] whether more keys may follow
   */
  want(wanted, typed = false) {
    Object.assign(this.wanted, wanted);
    clearTimeout(this.#timer);
    if (typed) this.#timer = setTimeout(() => this.again(), TYPING);
    else this.again();
  }

  /** Searches from the beginning. */
  again() {
    clearTimeout(this.#timer);
    return this.#load("");
  }

  /** Loads more results. */
  further() {
    if (this.more && !this.searching) return this.#load(this.#next ?? "");
  }

  async #load(cursor) {
    this.#under?.abort();
    const under = new AbortController();
    this.#under = under;
    this.searching = true;
    this.#changed();
    const { query, agent, team, from, to } = this.wanted;
    try {
      const wanted = { query: query.trim(), agent, team, from: beginning(from, 0), to: beginning(to, 1), cursor, limit: PAGE };
      const { chats, next } = await searchChats({ ...this.#ask(), signal: under.signal }, wanted);
      if (under !== this.#under) return;
      this.found = cursor ? [...this.found, ...chats] : chats;
      this.#next = next;
      this.full = next !== null && this.found.length >= MOST;
      this.more = next !== null && !this.full;
      this.problem = "";
      this.#learn(chats);
    } catch ({ code }) {
      if (under !== this.#under) return;
      this.problem = code;
      this.#refused(code);
    }
    this.searching = false;
    this.#changed();
  }

  /** Adds the agents and teams of results to the choices. */
  #learn(chats) {
    for (const { agents, team } of chats) {
      for (const { agent, supportUserName } of agents) this.agents.set(agent ?? supportUserName, supportUserName);
      if (team) this.teams.add(team);
    }
  }

  #refused(code) {
    if (code === "not_found") this.access = "none";
    if (code === "unauthorized" || code === "forbidden") this.access = "closed";
  }

  /** Opens a chat; "" closes it. @param {string} chatId @param {boolean} [again] try again after a failure */
  async read(chatId, again = false) {
    if (chatId === this.selected && !(again && this.recordProblem)) return;
    this.#reading?.abort();
    const reading = new AbortController();
    this.#reading = reading;
    Object.assign(this, { selected: chatId, record: null, recordProblem: "" });
    this.#changed();
    if (!chatId) return;
    try {
      const kept = await archivedChat({ ...this.#ask(), signal: reading.signal }, chatId);
      if (reading === this.#reading) this.record = new Record(kept, this.#addressOf);
    } catch ({ code }) {
      if (reading === this.#reading) this.recordProblem = code;
    }
    if (reading === this.#reading) this.#changed();
  }

  /** The open chat as plain text. @returns {Promise<string>} @throws {import("./refusal.js").Refusal} */
  transcript() {
    return transcriptOf(this.#ask(), this.selected);
  }

  /** Deletes a chat for good. @param {string} chatId @throws {import("./refusal.js").Refusal} */
  async delete(chatId) {
    await deleteChat(this.#ask(), chatId);
    this.#without((one) => one.chatId === chatId);
  }

  /** Deletes everything about a verified visitor for good. @param {string} sub @throws {import("./refusal.js").Refusal} */
  async deleteVisitor(sub) {
    await deleteVisitor(this.#ask(), sub);
    this.#without((one) => one.sub === sub);
  }

  /** Shows no longer what was deleted. @param {(one: import("./archive.js").Kept) => boolean} gone */
  #without(gone) {
    this.found = this.found.filter((one) => !gone(one));
    if (this.record && gone(this.record.kept)) this.read("");
    this.#changed();
  }

  /** The earlier chats of a chat's visitor. @param {string} chatId */
  async earlier(chatId) {
    const { chats } = await earlierChats(this.#ask(), chatId);
    return chats;
  }

  /** The figures of a span. @param {import("./archive.js").Filter} wanted @param {AbortSignal} signal */
  figures(wanted, signal) {
    return figures({ ...this.#ask(), signal }, wanted);
  }
}

/** The beginning of a day in the reader's time zone, or of one this many days later. @param {string} day such as 2026-11-28 */
function beginning(day, later) {
  const [year, month, date] = day.split("-").map(Number);
  const at = day ? new Date(year, month - 1, date + later) : new Date(NaN);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}
