import { expiryIn, Lobby, nameIn, subjectIn, tokenCounts } from "./client.js";
import { Desk } from "./desk.js";
import { reason } from "./strings.js";
import { visible } from "./text.js";

/** How long before a token runs out the agent is told, in ms. */
const WARNING = 10 * 60_000;
/** How long a notice is shown to an agent who looks at the page, in seconds. */
const NOTICE = 20;

/**
 * An agent at work, and the one state of the console: who they are, the lobby, their conversations,
 * what is under way and what they are to be told. What stands on the screen shows it, and changes
 * it by its methods alone.
 *
 * Events: `change`; `started` (the agent has signed in, or is back); `taken` (a visitor has been
 * claimed, and their conversation is the selected one).
 */
export class Session extends EventTarget {
  name = "";
  signedIn = false;
  /** The userId of the visitor who is being claimed, or "". */
  claiming = "";
  /** What the agent is to know, or "". */
  notice = "";
  /** Why the last name or token was refused, or "". */
  refusal = "";

  #t;
  #shared;
  #tab;
  #lobbyBase;
  #token = "";
  #checking = false;
  #over = false; // the token counts no more
  #later = ""; // the token of which the agent does not want to be warned
  #noticed = 0; // for how many seconds the notice has been seen

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {{chatBase: string, lobbyBase: string, needsToken: boolean, shared: object, tab: object}} config
   *        needsToken: agents are who their token says; it is kept as long as the tab. shared and
   *        tab are stores
   */
  constructor(t, { chatBase, lobbyBase, needsToken, shared, tab }) {
    super();
    this.#t = t;
    this.#shared = shared;
    this.#tab = tab;
    this.#lobbyBase = lobbyBase;
    this.needsToken = needsToken;
    if (needsToken) this.#token = tab.get("token") ?? "";
    this.name = needsToken ? nameIn(this.#token) : shared.get("name") ?? "";
    this.lobby = new Lobby(lobbyBase, () => this.#token);
    this.desk = new Desk(chatBase, shared, tab, () => this.#token);
    this.lobby.addEventListener("change", () => {
      this.#changed();
      this.#checkToken();
    });
    this.desk.addEventListener("change", () => this.#changed());
    this.desk.addEventListener("lost", ({ detail: { username } }) => this.say(t("lost", { name: username })));
    if (!needsToken) {
      shared.watch("renamed", (renamed) => renamed?.from === this.name && this.#rename(renamed.to)); // in another window
    }
  }

  /** Goes on with what a reload or a closed window has left, if there is something. */
  async resume() {
    if (this.name) await this.desk.open(this.#owner);
    if (!this.name || (!this.needsToken && this.desk.entries.size === 0 && !this.#tab.get("signedIn"))) return this.#changed();
    this.signedIn = true;
    this.dispatchEvent(new Event("started"));
    // A socket that is refused makes some browsers forget the password of a proxy in front.
    this.#over = this.needsToken && !await tokenCounts(this.#lobbyBase, this.#token);
    this.#start();
  }

  /** Whose the conversations are: another agent at the same browser does not get them. */
  get #owner() {
    return this.needsToken ? subjectIn(this.#token) : this.name;
  }

  /**
   * Begins to work, or goes on with a new token.
   * @param {string} text the agent's token where one is needed, else their name
   * @returns {Promise<boolean>} false: refusal says why
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

  /** Changes the agent's name, which visitors see whom they take from now on. @returns {boolean} */
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
    this.#changed();
  }

  #start() {
    const begins = !this.signedIn;
    this.#tab.set("signedIn", true);
    this.signedIn = true;
    if (!this.#over) {
      if (this.lobby.state !== "ready") this.lobby.open();
      this.desk.connect();
    }
    this.#changed();
    if (begins) this.dispatchEvent(new Event("started"));
  }

  /** Ends the work. The conversations wait for this agent in this browser. */
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
    this.lobby.close();
    this.lobby.users.clear(); // the next agent may not be one who sees them
    this.desk.close();
  }

  /** A connection that is refused or does not come about may be so because of the token. */
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
   * How it stands with the token: it runs out soon, or counts no more. Neither takes anything away
   * from the agent, who enters another one by signIn.
   * @returns {""|"soon"|"over"}
   */
  get expiry() {
    if (!this.needsToken || !this.signedIn) return "";
    if (this.#over) return "over";
    return this.#later !== this.#token && this.expires - Date.now() <= WARNING ? "soon" : "";
  }

  /** When the token runs out, in ms of Date.now(). */
  get expires() {
    return expiryIn(this.#token);
  }

  /** The agent has read that the token runs out. */
  later() {
    this.#later = this.#token;
    this.#changed();
  }

  /** Tells the agent something; "" takes it back. @param {string} notice */
  say(notice) {
    this.notice = notice;
    this.#noticed = 0;
    this.#changed();
  }

  /** A second has gone by. */
  tick() {
    if (this.notice && !document.hidden && ++this.#noticed > NOTICE) this.say("");
  }

  /** Claims a visitor who waits, and begins the conversation. @param {import("./client.js").User} user */
  async take(user) {
    if (this.claiming) return;
    this.claiming = user.userId;
    this.say("");
    try {
      if (await this.lobby.claim(user)) {
        this.desk.take({ ...user, role: "Support", supportUserName: this.name });
        this.dispatchEvent(new Event("taken"));
      } else {
        this.say(this.#t("lost", { name: user.username }));
      }
    } catch (error) {
      this.say(reason(this.#t, error.code));
    } finally {
      this.claiming = "";
      this.#changed();
    }
  }

  /** Ends a conversation on both sides. @param {string} chatId */
  async end(chatId) {
    const { username } = this.desk.entries.get(chatId).chat.participant;
    const result = await this.desk.end(chatId);
    if (this.signedIn && result !== "ended") this.say(this.#t(result === "left" ? "leftInstead" : "notClosed", { name: username }));
  }

  /** Claims who waits longest. */
  takeNext() {
    const [user] = this.lobby.users.values();
    if (user) this.take(user);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** A token without what it was pasted with: "Bearer", quotes, blanks, line breaks. */
export function unwrapped(text) {
  const solid = text.replace(/[\s\u200b-\u200f\u2060\ufeff]+/g, "");
  const [token] = solid.match(/e(?:yJ|yA|wo)[\w-]*\.[\w-]+\.[\w-]+/) ?? [solid]; // as JSON begins in base64
  return token;
}
