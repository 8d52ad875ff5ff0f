import { clock, h, write } from "./dom.js";
import { list } from "./list.js";

/** The maximum number of chats in the list. */
const MOST = 200;

/** The chats of all agents, for supervisors. Selecting one observes it. */
export class Overview {
  #session;
  #t;
  #look;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {(talk: import("./lobby.js").Talk) => void} look
   */
  constructor(session, t, look) {
    this.#session = session;
    this.#t = t;
    this.#look = look;
    this.count = h("span", { class: "count" });
    this.items = h("ul", { class: "overview" });
    this.more = h("p", { class: "note", hidden: true });
    this.element = h("section", { class: "all-chats", "aria-labelledby": "overview-title", hidden: true },
      h("h2", { id: "overview-title" }, t("allChats"), " ", this.count), this.items, this.more);
  }

  /** Leaves out the agent's own conversations, which are listed above. */
  #talks() {
    const { lobby, desk } = this.#session;
    const own = (chatId) => desk.entries.get(chatId)?.chat.participant.role === "Support";
    return new Map([...lobby.chats].filter(([chatId]) => !own(chatId)));
  }

  update() {
    const { supervises, signedIn } = this.#session;
    const talks = supervises && signedIn ? this.#talks() : new Map();
    this.element.hidden = talks.size === 0;
    list(this.items, new Map([...talks].slice(0, MOST)), () => this.#item(), (item, talk) => this.#updateItem(item, talk));
    write(this.count, talks.size ? String(talks.size) : "");
    this.more.hidden = talks.size <= MOST;
    write(this.more, this.more.hidden ? "" : this.#t("andMore", { count: talks.size - MOST }));
    this.tick();
  }

  /** Updates the times. */
  tick() {
    const { lobby, now } = this.#session;
    for (const item of this.items.children) {
      const since = Date.parse(lobby.chats.get(item.dataset.key)?.since);
      if (since) write(item.querySelector(".since"), clock(now - since));
    }
  }

  #item() {
    const item = h("li", {}, h("button", { type: "button" },
      h("span", { class: "name", dir: "auto" }), h("span", { class: "since" }), h("span", { class: "whose", dir: "auto" })));
    item.firstElementChild.addEventListener("click", () => {
      const talk = this.#session.lobby.chats.get(item.dataset.key);
      if (talk) this.#look(talk);
    });
    return item;
  }

  #updateItem(item, talk) {
    const t = this.#t;
    const button = item.firstElementChild;
    const [name, , whose] = button.children;
    write(name, talk.username);
    write(whose, talk.team ? t("agentInTeam", { name: talk.supportUserName, team: this.#session.team(talk.team) }) : talk.supportUserName);
    button.setAttribute("aria-label", t("lookOn", { name: talk.username, agent: talk.supportUserName }));
    button.setAttribute("aria-pressed", String(this.#session.desk.selected === talk.chatId));
  }
}
