import { inLanguage } from "./away.js";
import { cannedReplies, clockAhead, expiryIn, Lobby, nameIn, roleIn, status, subjectIn, tokenCounts } from "./client.js";
import { Desk } from "./desk.js";
import { Inbox } from "./inbox.js";
import { Report } from "./report.js";
import { Search } from "./search.js";
import { reason } from "./strings.js";
import { visible } from "./text.js";
import { addressOf } from "./uploads.js";

/** How long before a token expires the agent is warned, in ms. */
const WARNING = 10 * 60_000;
/** How long a notice is shown while the page is visible, in seconds. */
const NOTICE = 20;

/**
 * The state of the console: the agent, the lobby, the conversations, running actions and the notice. The
 * parts of the screen show this state, and change it only through its methods.
 *
 * Events: `change`; `started` (the agent has signed in, or has come back); `taken` (a visitor has been
 * claimed, or a chat taken over, and their conversation is selected).
 */
export class Session extends EventTarget {
  name = "";
  signedIn = false;
  /** The userId of the visitor who is being claimed, or "". */
  claiming = "";
  /** The notice for the agent, or "". */
  notice = "";
  /** The canned replies of the site. @type {{shortcut: string, text: string}[]} */
  replies = [];
  /** The names of the site's teams, by id. @type {Map<string, string>} */
  teams = new Map();
  /** The questions of the site, by id. @type {Map<string, {label: string, kind?: string}>} */
  questions = new Map();
  /** The size and types of files in messages; null without files. @type {{size: number, types: string[]}|null} */
  files = null;
  /** Why the last name or token was refused, or "". */
  refusal = "";

  #t;
  #lang;
  #shared;
  #tab;
  #chatBase;
  #lobbyBase;
  #token = "";
  #checking = false;
  #over = false; // the token is no longer valid
  #later = ""; // the token whose warning the agent has dismissed
  #ahead = 0; // how far the server's clock is ahead of this machine's, in ms
  #noticed = 0; // for how many seconds the notice was visible

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {{lang: string, chatBase: string, lobbyBase: string, needsToken: boolean, shared: object, tab: object}} config
   *        needsToken: whether agents need a token, which is stored as long as the tab is open.
   *        shared and tab are stores
   */
  constructor(t, { lang, chatBase, lobbyBase, needsToken, shared, tab }) {
    super();
    this.#t = t;
    this.#lang = lang;
    this.#shared = shared;
    this.#tab = tab;
    this.#chatBase = chatBase;
    this.#lobbyBase = lobbyBase;
    this.needsToken = needsToken;
    if (needsToken) this.#token = tab.get("token") ?? "";
    this.name = needsToken ? nameIn(this.#token) : shared.get("name") ?? "";
    this.lobby = new Lobby(lobbyBase, () => this.#token, () => ({ name: this.name, supervises: this.supervises }));
    this.desk = new Desk(chatBase, shared, tab, () => this.#token);
    const [asking, changed] = [() => ({ base: lobbyBase, token: this.#token }), () => this.#changed()];
    this.inbox = new Inbox(asking, changed);
    this.archive = new Search(asking, (file) => addressOf(chatBase, file), changed);
    this.report = new Report(this.archive, () => this.now, changed);
    this.lobby.addEventListener("change", () => {
      this.#changed();
      this.#checkToken();
    });
    this.desk.addEventListener("change", () => this.#changed());
    this.lobby.addEventListener("chat", ({ detail }) => this.#adopt(detail));
    this.desk.addEventListener("lost", ({ detail: { participant: { username, left }, problem } }) => {
      const words = problem === "already_taken" ? "lost" : left?.reason === "lost" ? "lostAway" : "givenAway";
      this.say(t(words, { name: username }));
    });
    if (!needsToken) {
      shared.watch("renamed", (renamed) => renamed?.from === this.name && this.#rename(renamed.to)); // in another window
    }
  }

  /** Resumes what a reload or a closed window has left, if there is something. */
  async resume() {
    if (this.name) await this.desk.open(this.#owner);
    if (!this.name || (!this.needsToken && this.desk.entries.size === 0 && !this.#tab.get("signedIn"))) return this.#changed();
    this.signedIn = true;
    this.dispatchEvent(new Event("started"));
    // In some browsers a refused socket makes the browser forget the password for a proxy.
    this.#over = this.needsToken && !await tokenCounts(this.#lobbyBase, this.#token);
    this.#prepare();
    this.#start();
  }

  /** The owner of the conversations. Another agent in the same browser does not get them. */
  get #owner() {
    return this.needsToken ? subjectIn(this.#token) : this.name;
  }

  /** Whether this agent may observe chats and take them over. Without tokens everybody may. */
  get supervises() {
    return !this.needsToken || roleIn(this.#token) === "supervisor";
  }

  /** The server's time, in ms as of Date.now(). */
  get now() {
    return Date.now() + this.#ahead;
  }

  /** With a token, the agent has the chats of all their devices, by its sub. */
  #adopt(talk) {
    if (this.needsToken && talk.agent === this.#owner && this.claiming !== talk.userId) this.desk.adopt(talk);
  }

  /**
   * Signs in, or goes on with a new token.
   * @param {string} text the agent's token if agents need one, otherwise their name
   * @returns {Promise<boolean>} false if it was refused; `refusal` says why
   */
  async signIn(text) {
    this.refusal = "";
    const accepted = this.needsToken ? await this.#useToken(unwrapped(text)) : this.#useName(text.trim());
    if (accepted) {
      if (!this.signedIn) await this.desk.open(this.#owner);
      this.#start();
    } else {
      this.refusal = this.#t(this.needsToken ? "tokenRefused" : "bad_username");
      this.#changed();
    }
    return accepted;
  }

  async #useToken(token) {
    const sub = /^[\w.-]+$/.test(token) && subjectIn(token);
    if (!sub || !await tokenCounts(this.#lobbyBase, token)) return false;
    if (this.signedIn && sub !== this.#owner) this.#stop();
    this.#token = token;
    this.#over = false;
    this.name = nameIn(token);
    this.#tab.set("token", token);
    return true;
  }

  #useName(name) {
    if (!visible(name)) return false;
    this.name = name;
    this.#shared.set("name", name);
    return true;
  }

  /** Changes the agent's name. Visitors see it in chats that are taken from now on. @returns {boolean} */
  rename(name) {
    const from = this.name;
    if (!this.#useName(name.trim())) return false;
    this.#shared.set("renamed", { from, to: this.name });
    this.#rename(this.name);
    return true;
  }

  #rename(name) {
    this.name = name;
    this.desk.owner = name;
    this.lobby.refresh(); // colleagues see it
    this.#changed();
  }

  #start() {
    const begins = !this.signedIn;
    this.#tab.set("signedIn", true);
    this.signedIn = true;
    if (begins) this.#prepare();
    else if (this.archive.access === "closed") this.archive.open(true); // the token may be a new one
    if (!this.#over) {
      if (this.lobby.state !== "ready") this.lobby.open();
      this.desk.connect();
    }
    this.#changed();
    if (begins) this.dispatchEvent(new Event("started"));
  }

  /** Restores the status after a reload. */
  #prepare() {
    const { status = "online", capacity = 0 } = this.#tab.get("status") ?? {};
    this.lobby.status = { status, capacity };
    this.#inform();
  }

  /** Loads what the servers tell by HTTP. */
  async #inform() {
    const ahead = clockAhead(this.#lobbyBase);
    this.replies = await cannedReplies(this.#lobbyBase, this.#token);
    this.#ahead = await ahead;
    const kept = await this.learnTeams();
    this.#changed();
    if (this.signedIn) await this.archive.open(kept !== false); // if the chat server did not tell, ask the lobby
    if (this.signedIn) await this.inbox.open(kept ?? this.archive.access === "open");
  }

  /**
   * Loads the teams, the questions and the limits for files, which may have changed.
   * @returns {Promise<boolean|undefined>} whether chats and messages are stored; undefined if unknown
   */
  async learnTeams() {
    const { teams = [], form = [], messages, files = null } = await status(this.#chatBase) ?? {};
    this.files = files;
    this.teams = new Map(teams.map(({ id, name }) => [id, name]));
    this.questions = new Map(form.map(({ id, label, kind }) => [id, { label: inLanguage(label, this.#lang) || id, kind }]));
    return messages;
  }

  /** The name of a team. @param {string} [id] */
  team(id) {
    return this.teams.get(id) ?? id ?? "";
  }

  /** Sets the agent's status and capacity. @param {{status?: "online"|"away", capacity?: number}} status */
  setStatus(status) {
    this.lobby.setStatus(status);
    this.#tab.set("status", this.lobby.status);
  }

  /** Signs out. The conversations wait for this agent in this browser. */
  signOut() {
    this.#stop();
    this.name = "";
    if (!this.needsToken) this.#shared.set("name", null);
    this.#changed();
  }

  #stop() {
    this.signedIn = this.#over = false;
    this.notice = this.refusal = this.#token = "";
    this.#tab.set("token", null);
    this.#tab.set("signedIn", null);
    this.#tab.set("status", null);
    this.replies = [];
    for (const part of [this.inbox, this.archive, this.report, this.lobby]) part.close();
    this.lobby.users.clear(); // the next agent may not be allowed to see them
    this.desk.close();
  }

  /** Checks the token after a connection was refused or has failed. */
  async #checkToken() {
    const { lobby } = this;
    if (!this.needsToken || !this.signedIn || this.#checking || this.#over || (lobby.state !== "offline" && lobby.state !== "closed")) return;
    this.#checking = true;
    const asked = this.#token;
    const counts = lobby.problem !== "unauthorized" && await tokenCounts(this.#lobbyBase, asked);
    this.#checking = false;
    if (counts || asked !== this.#token) return;
    this.#over = true;
    lobby.close();
  }

  /**
   * The state of the token: it expires soon, or is no longer valid. The agent keeps everything, and can
   * enter a new one with signIn.
   * @returns {""|"soon"|"over"}
   */
  get expiry() {
    if (!this.needsToken || !this.signedIn) return "";
    if (this.#over) return "over";
    return this.#later !== this.#token && this.expires - Date.now() <= WARNING ? "soon" : "";
  }

  /** When the token expires, in ms of Date.now(). */
  get expires() {
    return expiryIn(this.#token);
  }

  /** The agent has dismissed the warning. */
  later() {
    this.#later = this.#token;
    this.#changed();
  }

  /** Shows a notice; "" removes it. @param {string} notice */
  say(notice) {
    this.notice = notice;
    this.#noticed = 0;
    this.#changed();
  }

  /** Is called each second. */
  tick() {
    this.inbox.tick();
    this.archive.tick();
    if (this.notice && !document.hidden && ++this.#noticed > NOTICE) this.say("");
  }

  /** Claims a visitor who waits or is offered, and begins the conversation. @param {import("./client.js").User} user */
  async take({ expires, from, note, ...user }) {
    if (this.claiming) return;
    this.claiming = user.userId;
    this.say("");
    try {
      if (await this.lobby.claim(user)) {
        this.desk.take({ ...user, role: "Support", supportUserName: this.name });
        this.dispatchEvent(new Event("taken"));
      } else {
        this.say(this.#t(expires ? "offerOver" : "lost", { name: user.username }));
      }
    } catch (error) {
      this.say(reason(this.#t, error.code));
    } finally {
      this.claiming = "";
      this.#changed();
    }
  }

  /** Ends a conversation for both sides. @param {string} chatId */
  async end(chatId) {
    const { username } = this.desk.entries.get(chatId).chat.participant;
    const result = await this.desk.end(chatId);
    if (this.signedIn && result !== "ended") this.say(this.#t(result === "left" ? "leftInstead" : "notClosed", { name: username }));
  }

  /**
   * Transfers a conversation.
   * @param {string} chatId
   * @param {import("./client.js").Target} to
   * @param {string} note
   * @param {string} whom the name of the colleague or team; "" for the queue
   * @returns {Promise<string>} the problem, or ""
   */
  async transfer(chatId, to, note, whom) {
    const { username } = this.desk.entries.get(chatId).chat.participant;
    try {
      await this.desk.transfer(chatId, to, note);
    } catch ({ code }) {
      return code === "not_found" ? this.#t("transferGone", { name: whom }) : reason(this.#t, code);
    }
    this.say(whom ? this.#t("transferred", { name: username, whom }) : this.#t("transferredQueue", { name: username }));
    return "";
  }

  /** Takes over a chat that the agent observes. @param {string} chatId */
  async takeOver(chatId) {
    try {
      await this.desk.takeOver(chatId, this.name);
      this.dispatchEvent(new Event("taken"));
    } catch ({ code }) {
      this.say(reason(this.#t, code));
    }
  }

  /** Shows a chat of another agent. @param {import("./lobby.js").Talk} talk */
  look(talk) {
    this.say("");
    this.desk.look(talk, this.name);
    this.dispatchEvent(new Event("taken"));
  }

  /** Claims the visitor who has waited longest, or accepts an offer. */
  takeNext() {
    const [user] = [...this.lobby.offers.values(), ...this.lobby.users.values()];
    if (user) this.take(user);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** A token without the "Bearer", quotes, spaces and line breaks that were pasted with it. */
export function unwrapped(text) {
  const solid = text.replace(/[\s\u200b-\u200f\u2060\ufeff]+/g, "");
  const [token] = solid.match(/e(?:yJ|yA|wo)[\w-]*\.[\w-]+\.[\w-]+/) ?? [solid]; // as JSON begins in base64
  return token;
}
