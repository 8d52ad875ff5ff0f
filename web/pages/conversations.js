import { wordsOf } from "./attachments.js";
import { h, write } from "./dom.js";
import { isShown } from "./focus.js";
import { list } from "./list.js";
import { PRESENCE, showLife, starsOf, stateOf } from "./pane.js";
import { cut } from "./text.js";

/** The lobby's count can be some seconds late. */
const CERTAIN = 6;

/** The list of the agent's conversations. One of them is selected. */
export class Conversations {
  #session;
  #desk;
  #more = 0; // the number of seconds for which there have been more elsewhere
  #t;
  #ttl;
  #choose;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {number} ttl how long a chat lives without a message, in ms
   * @param {(chatId: string) => void} choose
   * @param {(by: 1|-1) => void} step goes to another conversation
   */
  constructor(session, t, ttl, choose, step) {
    this.#session = session;
    this.#desk = session.desk;
    this.#t = t;
    this.#ttl = ttl;
    this.#choose = choose;
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-orientation": "vertical", "aria-labelledby": "chats-title",
      onkeydown: (event) => {
        const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!by || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        step(by);
        this.focus();
      } });
    this.none = h("div", { class: "empty" }, h("p", {}, t("none")), h("p", { class: "note" }, t("noneHint")));
    this.elsewhere = h("p", { class: "note elsewhere", hidden: true });
    this.element = h("section", { class: "column chats", "aria-labelledby": "chats-title" },
      h("h2", { id: "chats-title" }, t("conversations")), this.tabs, this.none, this.elsewhere);
  }

  update() {
    const { entries } = this.#desk;
    list(this.tabs, entries, (chatId) => this.#tab(chatId), (item, entry, chatId) => this.#updateTab(item, entry, chatId));
    this.none.hidden = entries.size > 0;
    this.tabs.hidden = !this.none.hidden; // a tablist must have tabs
    this.tick();
  }

  /** Moves the focus to a conversation of the list, the selected one by default. @returns {boolean} false if it is not there */
  focus(chatId = this.#desk.selected) {
    const item = Array.from(this.tabs.children).find(({ dataset }) => dataset.key === chatId);
    if (!item || !isShown(item)) return false;
    item.focus();
    return true;
  }

  /** Updates the times. */
  tick() {
    for (const item of this.tabs.children) {
      showLife(item.querySelector(".life"), this.#desk.entries.get(item.dataset.key)?.chat, this.#ttl);
    }
  }

  /** Is called each second. */
  second() {
    const { lobby } = this.#session;
    const here = Array.from(this.#desk.entries.values()).filter(({ chat: { state, participant } }) => participant.role === "Support" && state === "connected");
    const more = (lobby.self?.chats ?? 0) - here.length;
    this.#more = more > 0 ? this.#more + 1 : 0;
    this.elsewhere.hidden = this.#more < CERTAIN;
    if (!this.elsewhere.hidden) write(this.elsewhere, this.#t("elsewhere", { count: more }));
  }

  #tab(chatId) {
    return h("button", { type: "button", role: "tab", class: "tab", "aria-controls": "talk", onclick: () => this.#choose(chatId) },
      h("span", { class: "person" }, h("span", { class: "presence", role: "img" }), h("span", { class: "name", dir: "auto" })),
      h("span", { class: "count", role: "img" }),
      h("span", { class: "last", dir: "auto" }), h("span", { class: "types", "aria-hidden": "true" }, this.#t("typingNow")),
      h("span", { class: "life" }));
  }

  #updateTab(item, entry, chatId) {
    const t = this.#t;
    const { selected } = this.#desk;
    const { chat, unread } = entry;
    const [person, count, last, types] = item.children;
    const [presence, name] = person.children;
    write(name, chat.participant.username);
    const there = chat.state === "connected" ? chat.presence.other : "";
    presence.hidden = !there;
    presence.dataset.presence = there;
    if (there) presence.setAttribute("aria-label", t(PRESENCE[there]));
    presence.title = there ? t(PRESENCE[there]) : "";
    write(count, unread ? String(unread) : "");
    if (unread) count.setAttribute("aria-label", t("unread", { count: unread }));
    const message = chat.messages.at(-1);
    const words = message ? cut(wordsOf(message), 120) : t("empty");
    const looksOn = chat.participant.role === "Observer";
    const said = message?.from === "Support" && !looksOn ? `${t("you")}: ${words}` : words;
    const rated = chat.rating ? `${starsOf(chat.rating)} ` : "";
    write(last, rated + (chat.state === "connected" && !entry.moving && !looksOn ? said : stateOf(t, entry)));
    item.classList.toggle("looks-on", looksOn);
    const { typing } = chat.typing.other;
    types.hidden = !typing;
    last.classList.toggle("unseen", typing); // screen readers do not read out who is typing
    item.dataset.state = chat.state;
    item.setAttribute("aria-selected", String(chatId === selected));
    item.tabIndex = chatId === selected || (selected === "" && item === this.tabs.firstElementChild) ? 0 : -1;
  }
}
