import { Chat } from "./client.js";
import { Outbox } from "./storage.js";

/**
 * The conversations of one console window, kept over reloads. A window that finds those of another
 * one that is closed takes them over; the browser's locks tell which windows are still there.
 *
 * Events: `change`, `message` (detail: {entry, message}), `lost` (detail: the participant; another
 * agent has joined the chat first, and it is gone from here).
 *
 * @typedef {{chat: Chat, read: string, unread: number}} Entry read: the time of the last message
 *          that the agent has seen
 */
export class Desk extends EventTarget {
  /** @type {Map<string, Entry>} by chatId, in the order of their beginning */
  entries = new Map();
  /** The chatId of the conversation that is shown, or "". */
  selected = "";

  #base;
  #shared;
  #tab;
  #token;
  #window;

  /**
   * @param {string} base the chat server's URL
   * @param {import("./storage.js").Store} shared
   * @param {import("./storage.js").Store} tab
   * @param {() => string} token the agent's, where agents need one
   */
  constructor(base, shared, tab, token) {
    super();
    this.#base = base;
    this.#shared = shared;
    this.#tab = tab;
    this.#token = token;
  }

  /** Comes back to the conversations that were open. */
  async restore() {
    this.#window = await this.#ownWindow();
    const names = [`desk.${this.#window}`, ...await this.#orphans()];
    for (const name of names) {
      const { selected = "", chats = [] } = this.#shared.get(name) ?? {};
      for (const { read, ...participant } of chats) this.#add(participant, read);
      this.selected ||= selected;
    }
    for (const name of names.slice(1)) this.#shared.set(name, null);
    if (!this.entries.has(this.selected)) this.selected = "";
    this.#changed();
  }

  /** A window's name outlives a reload; a copy of a tab needs another one. */
  async #ownWindow() {
    const before = this.#tab.get("window");
    if (before && await hold(before)) return before;
    const name = crypto.getRandomValues(new Uint32Array(2)).join("");
    await hold(name);
    this.#tab.set("window", name);
    return name;
  }

  async #orphans() {
    if (!navigator.locks) return [];
    const { held } = await navigator.locks.query();
    const present = new Set(held.map(({ name }) => name));
    return this.#shared.names("desk.").filter((name) => !present.has(lockName(name.slice("desk.".length))));
  }

  /** @returns {Entry|undefined} */
  get current() {
    return this.entries.get(this.selected);
  }

  /** Takes a visitor and shows the conversation. @param {import("./client.js").Participant} participant */
  take(participant) {
    this.#add(participant, "");
    this.select(participant.chatId);
  }

  /** Comes back to the conversations that were refused for want of a good token. */
  reopen() {
    for (const { chat } of this.entries.values()) {
      if (chat.problem === "unauthorized") chat.open();
    }
  }

  select(chatId) {
    this.selected = this.entries.has(chatId) ? chatId : "";
    this.seen();
    this.#changed();
  }

  /** Goes to another conversation: 1 is the next, -1 the previous. */
  step(by) {
    const ids = [...this.entries.keys()];
    if (ids.length === 0) return;
    const at = ids.indexOf(this.selected);
    this.select(ids[at < 0 ? 0 : (at + by + ids.length) % ids.length]);
  }

  /** Closes a conversation and shows its neighbour. */
  remove(chatId) {
    const ids = [...this.entries.keys()];
    const at = ids.indexOf(chatId);
    const { chat } = this.entries.get(chatId);
    this.entries.delete(chatId);
    chat.close();
    if (chatId === this.selected) this.select(ids[at + 1] ?? ids[at - 1] ?? "");
    this.#changed();
  }

  /** The agent looks at the page: what the selected conversation shows is read. */
  seen() {
    if (document.hidden || !this.current) return;
    this.#count(this.current, this.current.chat.messages.at(-1)?.timestamp);
  }

  get unread() {
    let sum = 0;
    for (const { unread } of this.entries.values()) sum += unread;
    return sum;
  }

  #add(participant, read = "") {
    this.entries.get(participant.chatId)?.chat.close();
    const outbox = new Outbox(this.#shared, participant.chatId);
    const chat = new Chat(this.#base, participant, outbox.load(), this.#token);
    const entry = { chat, read, unread: 0 };
    this.entries.set(participant.chatId, entry);
    const here = () => this.entries.get(participant.chatId) === entry;
    chat.addEventListener("change", () => {
      if (!here()) return;
      if (chat.problem === "already_taken") {
        this.remove(participant.chatId);
        this.dispatchEvent(new CustomEvent("lost", { detail: participant }));
        return;
      }
      outbox.save(chat.state === "ended" ? [] : chat.outbox);
      this.#changed();
    });
    chat.addEventListener("history", () => this.#looked(entry));
    chat.addEventListener("message", ({ detail }) => {
      this.#looked(entry);
      if (detail.from === "User") this.dispatchEvent(new CustomEvent("message", { detail: { entry, message: detail } }));
    });
    chat.open();
  }

  #looked(entry) {
    if (entry === this.current && !document.hidden) this.seen();
    else this.#count(entry, entry.read);
  }

  #count(entry, read = "") {
    entry.read = read;
    entry.unread = entry.chat.messages.filter(({ from, timestamp }) => from === "User" && timestamp > read).length;
    this.#changed();
  }

  #changed() {
    const chats = [];
    for (const { chat: { state, participant }, read } of this.entries.values()) {
      if (participant.supportId && state !== "ended") chats.push({ ...participant, read });
    }
    this.#shared.set(`desk.${this.#window}`, chats.length ? { selected: this.selected, chats } : null);
    this.dispatchEvent(new Event("change"));
  }
}

const lockName = (name) => `livesupport ${name}`;

/** Takes a lock until the page is left. @returns {Promise<boolean>} false if another one has it */
function hold(name) {
  if (!navigator.locks) return Promise.resolve(true); // no TLS: then nothing is taken over
  const left = new Promise((resolve) => addEventListener("pagehide", resolve, { once: true }));
  return new Promise((resolve) => {
    // The page that a reload has ended may have it for a moment still.
    navigator.locks.request(lockName(name), { signal: AbortSignal.timeout(1_000) }, () => {
      resolve(true);
      return left;
    }).catch(() => resolve(false));
  });
}
