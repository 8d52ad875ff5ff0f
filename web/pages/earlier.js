import { h, write } from "./dom.js";
import { Moments } from "./moments.js";
import { cut } from "./text.js";

/** The number of characters shown of a chat's first message. */
const OPENING = 80;

/** The earlier chats of a conversation's visitor, if the site knows them. Each one opens in the archive. */
export class EarlierChats {
  #session;
  #t;
  #moments;
  #known = new WeakMap(); // by conversation
  #of = null;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   */
  constructor(session, t, lang) {
    this.#session = session;
    this.#t = t;
    this.#moments = new Moments(lang);
    this.count = h("summary");
    this.items = h("ul");
    this.element = h("details", { class: "earlier-chats", hidden: true }, this.count, this.items);
  }

  /** @param {{participant: import("./client.js").Participant}|null} chat the selected conversation */
  update(chat) {
    if (chat && !this.#known.has(chat) && this.#session.archive.access === "open" && mayBeKnown(chat.participant)) this.#look(chat);
    const chats = (chat && this.#known.get(chat)) ?? [];
    if (this.#of === chats) return;
    this.#of = chats;
    this.element.hidden = chats.length === 0;
    this.element.open = false;
    write(this.count, chats.length ? this.#t("earlierChats", { count: chats.length }) : "");
    this.items.replaceChildren(...chats.map((one) => this.#item(one)));
  }

  async #look(chat) {
    this.#known.set(chat, []);
    try {
      const chats = await this.#session.archive.earlier(chat.participant.chatId);
      if (chats.length === 0) return;
      this.#known.set(chat, chats);
      this.#session.dispatchEvent(new Event("change"));
    } catch {
      // the archive's own view reports its errors
    }
  }

  #item({ chatId, ended, message = "", agents }) {
    const at = new Date(ended);
    return h("li", {}, h("a", { href: `#archive/${chatId}` },
      h("time", { dateTime: ended, title: this.#moments.full(at) }, this.#moments.brief(at)), " ",
      h("span", { class: "opening", dir: "auto" }, cut(message, OPENING)), " ",
      h("span", { class: "whose", dir: "auto" }, agents.map(({ supportUserName }) => supportUserName).join(", ") || this.#t("recordMissed"))));
  }
}

/** Returns whether the site may have vouched for a visitor: only the queue and the archive tell. */
function mayBeKnown({ verified, since }) {
  return verified ?? !since;
}
