import { Lobby, nameIn, tokenCounts } from "./client.js";
import { Desk } from "./desk.js";
import { reason } from "./strings.js";

/**
 * An agent at work, and the one state of the console: who they are, the lobby, their conversations,
 * what is under way and what they are to be told. What stands on the screen shows it, and changes
 * it by its methods alone.
 *
 * Events: `change`; `taken` (a visitor has been claimed, and their conversation is the selected one).
 */
export class Session extends EventTarget {
  name;
  signedIn = false;
  /** The userId of the visitor who is being claimed, or "". */
  claiming = "";
  /** What the agent is to know, or "". */
  notice = "";
  /** Why the last sign-in was refused, or "". */
  refusal = "";

  #t;
  #shared;
  #tab;
  #lobbyBase;
  #token = "";
  #checking = false;

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
  }

  /** Goes on with what a reload or a closed window has left, if there is something. */
  async resume() {
    await this.desk.restore();
    if (this.name && (this.desk.entries.size > 0 || this.#tab.get("signedIn"))) this.#start();
    else this.#changed();
  }

  /**
   * Begins to work.
   * @param {string} text the agent's token where one is needed, else their name
   * @returns {Promise<boolean>} false: refusal says why
   */
  async signIn(text) {
    this.refusal = "";
    if (this.needsToken) {
      const name = /^[\w.-]+$/.test(text) && nameIn(text);
      if (!name || !await tokenCounts(this.#lobbyBase, text)) {
        this.refusal = this.#t("tokenRefused");
        this.#changed();
        return false;
      }
      this.#token = text;
      this.name = name;
      this.#tab.set("token", text);
    } else {
      this.name = text;
      this.#shared.set("name", text);
    }
    this.#start();
    return true;
  }

  #start() {
    this.#tab.set("signedIn", true);
    this.signedIn = true;
    this.lobby.open();
    this.desk.reopen();
    this.#changed();
  }

  /** Asks for another token. The conversations stay where they are. */
  #signOut() {
    this.signedIn = false;
    this.#token = "";
    this.#tab.set("token", null);
    this.lobby.close();
    this.refusal = this.#t("tokenRefused");
    this.#changed();
  }

  /** A connection that is refused or does not come about may be so because of the token. */
  async #checkToken() {
    const { lobby } = this;
    if (!this.needsToken || !this.signedIn || this.#checking || (lobby.state !== "offline" && lobby.state !== "closed")) return;
    this.#checking = true;
    const asked = this.#token;
    const counts = lobby.problem !== "unauthorized" && await tokenCounts(this.#lobbyBase, asked);
    this.#checking = false;
    if (!counts && asked === this.#token) this.#signOut();
  }

  /** Tells the agent something; "" takes it back. @param {string} notice */
  say(notice) {
    this.notice = notice;
    this.#changed();
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

  /** Claims who waits longest. */
  takeNext() {
    const [user] = this.lobby.users.values();
    if (user) this.take(user);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
