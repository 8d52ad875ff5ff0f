import { h, write } from "./dom.js";
import { Moments } from "./moments.js";
import { cut } from "./text.js";

/** So many characters of how a chat began are shown. */
const OPENING = 80;

/** What the visitor of a conversation has talked about before, if the site knows them; each can be read in the archive. */
export class EarlierChats {
  #session;
  #t;
  #moments;
  #known = new WeakMap(); // by the conversation
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

  /** @param {{participant: import("./client.js").Participant}|null} chat the conversation that is shown */
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
      // it is shown where it can be had; what is wrong with the archive is told there
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

/** Whether a site may have vouched for a visitor: the queue and the archive say so, other lists do not. */
function mayBeKnown({ verified, since }) {
  return verified ?? !since;
}
