import { archivedChat, deleteChat, deleteVisitor, earlierChats, figures, searchChats, transcriptOf } from "./archive.js";
import { Record } from "./record.js";

/** After a key the search waits for the next one for this time, in ms. */
const TYPING = 250;
/** So many chats are asked for at once. */
const PAGE = 50;
/** The most that are listed: who wants more looks for something else. */
const MOST = 1_000;
/** How often it is asked whether there is an archive, while that is not known, in seconds. */
const LOOK = 30;

/**
 * The chats that have ended, for a session: whether this agent may see them, the search and what it
 * has found, and the one that is read. Its changes are the session's.
 *
 * @typedef {import("./archive.js").Kept} Kept
 * @typedef {{query: string, agent: string, team: string, from: string, to: string}} Wanted from and to
 *          are days of the reader's, both included, such as 2026-11-28; "" for no bound
 */
export class Search {
  /**
   * Whether there is an archive, and this agent may see it: `open`; `none`: nothing is kept; `closed`:
   * the server shows it to nobody who asks from here; `unknown` until it has answered.
   * @type {"unknown"|"open"|"none"|"closed"}
   */
  access = "unknown";
  /** @type {Wanted} */
  wanted = { query: "", agent: "", team: "", from: "", to: "" };
  /** What has been found, newest first. @type {Kept[]} */
  found = [];
  /** Whether there are more, and whether they can be listed. */
  more = false;
  full = false;
  /** Whether a search is under way. */
  searching = false;
  /** Why the last search has failed: a code, or "". */
  problem = "";
  /** Everybody who has had one of the chats seen so far, by who they are. @type {Map<string, string>} */
  agents = new Map();
  /** The teams of those chats. @type {Set<string>} */
  teams = new Set();
  /** The chatId of the chat that is read, or "". */
  selected = "";
  /** It, once it is there. @type {Record|null} */
  record = null;
  /** Why it cannot be read: a code, or "". */
  recordProblem = "";

  #ask;
  #addressOf;
  #changed;
  #next = null;
  #timer = 0;
  #under = null; // the AbortController of the search under way
  #reading = null; // and that of the chat
  #seconds = 0;
  #turn = 0;

  /**
   * @param {() => {base: string, token: string}} ask of whom
   * @param {(file: import("./uploads.js").Attachment) => string} addressOf where a file is
   * @param {() => void} changed
   */
  constructor(ask, addressOf, changed) {
    this.#ask = ask;
    this.#addressOf = addressOf;
    this.#changed = changed;
  }

  /** The agent begins to work. @param {boolean} kept whether the server keeps chats, as far as is known */
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

  /** The agent has signed out: nothing of it stays in the page. */
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

  /** A second has gone by. */
  tick() {
    if (this.access !== "unknown" || document.hidden || ++this.#seconds < LOOK) return;
    this.#seconds = 0;
    this.open(true);
  }

  /**
   * Looks for something else.
   * @param {Partial<Wanted>} wanted
   * @param {boolean} [typed] more keys are to be expected
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

  /** Lists more of them. */
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

  /** By whom and for which team one can look. */
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

  /** Has a chat to be read; "" for none. @param {string} chatId @param {boolean} [again] also if it could not be read */
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

  /** The chat that is read as plain text. @returns {Promise<string>} @throws {import("./refusal.js").Refusal} */
  transcript() {
    return transcriptOf(this.#ask(), this.selected);
  }

  /** Deletes a chat for good. @param {string} chatId @throws {import("./refusal.js").Refusal} */
  async delete(chatId) {
    await deleteChat(this.#ask(), chatId);
    this.#without((one) => one.chatId === chatId);
  }

  /** Deletes everything of a verified visitor for good. @param {string} sub @throws {import("./refusal.js").Refusal} */
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

  /** What the visitor of a chat has talked about before. @param {string} chatId */
  async earlier(chatId) {
    const { chats } = await earlierChats(this.#ask(), chatId);
    return chats;
  }

  /** The figures of a span. @param {import("./archive.js").Filter} wanted @param {AbortSignal} signal */
  figures(wanted, signal) {
    return figures({ ...this.#ask(), signal }, wanted);
  }
}

/** When a day of the reader's begins, or the one so many days later. @param {string} day such as 2026-11-28 */
function beginning(day, later) {
  const [year, month, date] = day.split("-").map(Number);
  const at = day ? new Date(year, month - 1, date + later) : new Date(NaN);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}
