import { Chat } from "./client.js";
import { Outbox } from "./storage.js";

/** The events of a chat other than changes and messages. */
const NEWS = ["typing", "presence", "rated", "note", "left"];
/** Problems which mean that somebody else has the chat, or will get it. */
const GONE = ["already_taken", "released"];

/**
 * The conversations of one agent in one console window, which survive a reload. A new window takes over
 * the conversations of the same agent's closed windows. The browser's locks tell which windows are open.
 *
 * Events: `change`, `message` (detail: {entry, message}), `lost` (detail: {participant, problem};
 * another agent has the chat, or will get it. It is removed from here unless it has something to read).
 *
 * @typedef {{chat: Chat, read: number, unread: number, ending: boolean, moving: boolean, rejoining: boolean}} Entry
 *          read: the seq of the last message that the agent has read, as far as this browser
 *          knows; unread: the number of messages read on no device; ending: the agent is ending it
 *          here; moving: the agent is transferring it; rejoining: it is joined again by the token's
 *          sub. The entry of an Observer is a chat that the agent watches
 */
export class Desk extends EventTarget {
  /** @type {Map<string, Entry>} by chatId, oldest first */
  entries = new Map();
  /** The chatId of the selected conversation, or "". */
  selected = "";

  #base;
  #shared;
  #tab;
  #token;
  #owner = "";
  #window = "";
  #release = () => {};
  #removed = new Set(); // the chats that this window has removed

  /**
   * @param {string} base the chat server's URL
   * @param {import("./storage.js").Store} shared stores the conversations and their drafts
   * @param {import("./storage.js").Store} tab stores the window's name
   * @param {() => string} token the agent's token, if agents need one
   */
  constructor(base, shared, tab, token) {
    super();
    this.#base = base;
    this.#shared = shared;
    this.#tab = tab;
    this.#token = token;
  }

  /** Loads the conversations that an agent had open. connect() rejoins them. @param {string} owner */
  async open(owner) {
    this.#owner = owner;
    await this.#nameWindow();
    const own = `desk.${this.#window}`;
    for (const name of [own, ...await this.#orphans()]) {
      const { selected = "", chats = [] } = this.#ownRecord(name) ?? {};
      for (const { read, over, ...participant } of chats) this.#add(participant, read, over);
      this.selected ||= selected;
      if (name !== own && chats.length) this.#shared.set(name, null);
    }
    if (!this.entries.has(this.selected)) this.selected = "";
    this.#forgetDrafts();
    this.#changed();
  }

  /** Closes the conversations. They wait for their owner, in any window. */
  close() {
    const { entries } = this;
    this.#save(true);
    this.#window = this.selected = "";
    this.entries = new Map();
    for (const { chat } of entries.values()) chat.close();
    this.#release();
    this.dispatchEvent(new Event("change"));
  }

  /** The agent has changed their name. @param {string} owner */
  set owner(owner) {
    for (const name of this.#shared.names("desk.")) {
      const record = this.#shared.get(name);
      if (record?.owner === this.#owner) this.#shared.set(name, { ...record, owner });
    }
    this.#owner = owner;
    this.#changed();
  }

  /** Takes a name for the window. It survives a reload, but a duplicated tab or another agent needs a new one. */
  async #nameWindow() {
    if (this.#window) return;
    const before = this.#tab.get("window");
    const another = before && this.#shared.get(`desk.${before}`) && !this.#ownRecord(`desk.${before}`);
    const release = before && !another && await hold(before);
    if (release) {
      this.#window = before;
      this.#release = release;
      return;
    }
    this.#window = crypto.getRandomValues(new Uint32Array(2)).join("");
    this.#release = await hold(this.#window);
    this.#tab.set("window", this.#window);
  }

  /** A stored record, if it is this agent's. */
  #ownRecord(name) {
    const record = this.#shared.get(name);
    return (record?.owner ?? this.#owner) === this.#owner ? record : null;
  }

  /** The records of windows that were closed, or whose agent has signed out. */
  async #orphans() {
    const present = new Set((await navigator.locks?.query())?.held.map(({ name }) => name));
    const there = (name) => !navigator.locks || present.has(lockName(name.slice("desk.".length)));
    return this.#shared.names("desk.").filter((name) =>
      name !== `desk.${this.#window}` && (this.#shared.get(name)?.left || !there(name)));
  }

  #forgetDrafts() {
    const known = new Set(this.#shared.names("desk.").flatMap((name) => this.#shared.get(name)?.chats ?? []).map(({ chatId }) => chatId));
    for (const name of this.#shared.names("draft.")) {
      const [, chatId] = name.split(".");
      if (!known.has(chatId) && !this.entries.has(chatId)) this.#shared.set(name, null);
    }
  }

  #draft(chatId) {
    return this.#shared.get(`draft.${chatId}`) ?? "";
  }

  /** @returns {Entry|undefined} */
  get current() {
    return this.entries.get(this.selected);
  }

  /** Joins a visitor's chat and selects it. @param {import("./client.js").Participant} participant */
  take(participant) {
    this.#add(participant).open();
    this.select(participant.chatId);
  }

  /** Observes a chat of another agent. Nobody notices. @param {import("./lobby.js").Talk} talk */
  look({ userId, chatId, username }, observerName) {
    if (!this.entries.has(chatId)) this.#add({ role: "Observer", userId, chatId, username, observerName }).open();
    this.select(chatId);
  }

  /** Joins a conversation that the agent has on another device. @param {import("./lobby.js").Talk} talk */
  adopt({ userId, chatId, username, supportId, supportUserName }) {
    const known = this.entries.has(chatId) || this.#removed.has(chatId) ||
      this.#shared.names("desk.").some((name) => this.#shared.get(name)?.chats.some((one) => one.chatId === chatId));
    if (known) return;
    this.#add({ role: "Support", userId, chatId, username, supportId, supportUserName }).open();
    this.#changed();
  }

  /** Connects the conversations that are not connected, for instance because a token had expired. */
  connect() {
    for (const { chat } of this.entries.values()) {
      if (chat.problem === "unauthorized" || chat.state === "offline" || chat.state === "connecting") chat.open();
    }
  }

  select(chatId) {
    this.selected = this.entries.has(chatId) ? chatId : "";
    this.#changed();
  }

  /** Selects another conversation: 1 is the next one, -1 the previous one. */
  step(by) {
    const ids = [...this.entries.keys()];
    if (ids.length === 0) return;
    const at = ids.indexOf(this.selected);
    this.select(ids[at < 0 ? 0 : (at + by + ids.length) % ids.length]);
  }

  /**
   * Ends a conversation for both sides, once there is a connection. It stays in the list, so that it can
   * be read and rated. If the server cannot end it, the agent leaves it.
   * @param {string} chatId
   * @returns {Promise<"ended"|"left"|"failed">}
   */
  async end(chatId) {
    const entry = this.entries.get(chatId);
    const { chat } = entry;
    entry.ending = true;
    this.#changed();
    await chat.end();
    if (chat.ended) return "ended";
    entry.ending = false;
    const left = chat.state === "closed" && !chat.problem;
    if (left && this.entries.get(chatId) === entry) this.remove(chatId);
    this.#changed();
    return left ? "left" : "failed";
  }

  /**
   * Transfers a conversation. It is removed from here then, except for an observer.
   * @param {string} chatId
   * @param {import("./client.js").Target} to
   * @param {string} [note]
   * @throws {import("./refusal.js").Refusal} if the conversation is unchanged
   */
  async transfer(chatId, to, note) {
    const entry = this.entries.get(chatId);
    const { chat } = entry;
    entry.moving = true;
    this.#changed();
    try {
      await chat.transfer(to, note);
    } catch (error) {
      entry.moving = false;
      this.#changed();
      if (error.code !== "already_taken") throw error; // otherwise it was transferred, and only the answer was lost
    }
    entry.moving = false;
    if (this.entries.get(chatId) !== entry) return;
    if (chat.participant.role === "Support") this.remove(chatId);
    this.#changed();
  }

  /**
   * Takes over a chat that the agent observes. Only the queue can hold a user for somebody else. The
   * first agent who joins has the chat, so this joins at once.
   * @param {string} chatId
   * @param {string} name the agent's
   */
  async takeOver(chatId, name) {
    const entry = this.entries.get(chatId);
    const { userId, username } = entry.chat.participant;
    if (entry.chat.state === "connected") await this.transfer(chatId, { to: "queue" });
    if (this.entries.get(chatId) === entry) this.take({ role: "Support", userId, chatId, username, supportUserName: name });
  }

  /** Leaves a conversation, which may go on without this agent, and selects its neighbour. */
  remove(chatId) {
    const ids = [...this.entries.keys()];
    const at = ids.indexOf(chatId);
    this.#forget(chatId);
    if (chatId === this.selected) this.select(ids[at + 1] ?? ids[at - 1] ?? "");
    this.#changed();
  }

  #forget(chatId) {
    const { chat } = this.entries.get(chatId);
    this.entries.delete(chatId);
    this.#removed.add(chatId);
    for (const draft of [`draft.${chatId}`, `draft.${chatId}.note`, `draft.${chatId}.transfer`]) this.#shared.set(draft, null);
    chat.close();
  }

  get unread() {
    let sum = 0;
    for (const { unread } of this.entries.values()) sum += unread;
    return sum;
  }

  #add(participant, read = 0, over = false) {
    this.entries.get(participant.chatId)?.chat.close();
    this.#removed.delete(participant.chatId);
    const outbox = new Outbox(this.#shared, participant.chatId);
    const chat = new Chat(this.#base, participant, outbox.load(), this.#token);
    const looksOn = participant.role === "Observer";
    const entry = {
      chat, read: Number(read) || 0, get unread() { return looksOn ? 0 : chat.receipts.unread; },
      ending: false, moving: false, rejoining: false,
    };
    this.entries.set(participant.chatId, entry);
    const here = () => this.entries.get(participant.chatId) === entry;
    let refused = false;
    chat.addEventListener("change", () => {
      if (!here()) return;
      if (chat.problem === "forbidden" && this.#rejoins(entry)) return;
      if (GONE.includes(chat.problem) && !refused && !entry.moving) {
        refused = true;
        this.#lost(chat);
      }
      outbox.save(chat.state === "ended" ? [] : chat.outbox);
      if (over && chat.state === "ended" && chat.messages.length === 0) return this.#gone(participant.chatId);
      this.#changed();
    });
    // This browser knows what was read before the server confirms it, and even if it cannot tell the server.
    chat.addEventListener("history", () => chat.receipts.read(entry.read));
    chat.addEventListener("receipt", ({ detail: { from, read } }) => {
      if (from !== "Support") return; // the visitor's marks only change how the agent's messages look
      entry.read = read;
      this.#changed();
    });
    for (const event of NEWS) chat.addEventListener(event, () => this.#news());
    chat.addEventListener("message", ({ detail }) => {
      this.#news();
      if (detail.from === "User" && !looksOn) this.dispatchEvent(new CustomEvent("message", { detail: { entry, message: detail } }));
    });
    return chat;
  }

  /**
   * On another device the agent has the chat by another supportId. Without a supportId, the server goes
   * by the sub of the token.
   */
  #rejoins(entry) {
    const { chat } = entry;
    entry.rejoining = Boolean(this.#token() && chat.participant.supportId);
    if (!entry.rejoining) return false;
    delete chat.participant.supportId;
    chat.open();
    return true;
  }

  /** Selects no other conversation, so that what is typed next does not go to another visitor. */
  #lost({ participant, messages, problem }) {
    const { chatId } = participant;
    if (messages.length === 0 && !this.#draft(chatId)) {
      this.#forget(chatId);
      if (chatId === this.selected) this.select("");
    }
    this.dispatchEvent(new CustomEvent("lost", { detail: { participant, problem } }));
  }

  /** Removes a conversation that had ended before the page was left, and that can no longer be read. */
  #gone(chatId) {
    if (this.#draft(chatId)) return this.#changed();
    this.#forget(chatId);
    if (chatId === this.selected) this.selected = "";
    this.#changed();
  }

  #changed() {
    this.#save();
    this.#news();
  }

  /** Reports a change that is not stored. */
  #news() {
    this.dispatchEvent(new Event("change"));
  }

  #save(left = false) {
    if (!this.#window) return;
    const chats = [];
    for (const { chat: { state, ended, gone, participant }, read, rejoining } of this.entries.values()) {
      if (participant.role !== "Support") continue;
      const over = state === "ended"; // an ended chat can be read and rated for some time
      const stays = (participant.supportId || rejoining) && (!over || (ended.from && !gone));
      if (stays || this.#draft(participant.chatId)) chats.push({ ...participant, read, over });
    }
    const record = { owner: this.#owner, left, selected: this.selected, chats };
    this.#shared.set(`desk.${this.#window}`, chats.length ? record : null);
  }
}

const lockName = (name) => `livesupport ${name}`;

/**
 * Takes a lock until the page is left.
 * @returns {Promise<(() => void)|null>} a function that releases it earlier; null if another page has it
 */
function hold(name) {
  if (!navigator.locks) return Promise.resolve(() => {}); // without TLS there are no locks, and nothing is taken over
  return new Promise((resolve) => {
    const left = new Promise((release) => {
      addEventListener("pagehide", release, { once: true });
      // After a reload, the previous page may hold it for another moment.
      navigator.locks.request(lockName(name), { signal: AbortSignal.timeout(1_000) }, () => {
        resolve(release);
        return left;
      }).catch(() => resolve(null));
    });
  });
}
