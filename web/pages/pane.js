import { Conversation, isOver } from "./conversation.js";
import { clock, h, icon, label, write } from "./dom.js";
import { verifiedMark } from "./queue.js";

/** Below this, in ms, a conversation's end is near. */
const NEAR_END = 30_000;

/** The selected conversation, with whom it is and how it stands. */
export class Pane {
  #session;
  #t;
  #ttl;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {number} ttl how long a chat lives without a message, in ms
   * @param {import("./storage.js").Store} drafts keeps what is half written
   * @param {{back: () => void, leave: () => void, replies: () => void}} on what its buttons do
   */
  constructor(session, t, lang, ttl, drafts, on) {
    this.#session = session;
    this.#t = t;
    this.#ttl = ttl;
    const replies = h("button", { type: "button", class: "tool", onclick: on.replies });
    label(replies, "replies", t("replies"));
    this.conversation = new Conversation(t, lang, drafts, replies);
    this.others = h("span", { class: "count" });
    this.back = h("button", { type: "button", class: "tool back", onclick: on.back }, icon("back"), this.others);
    this.name = h("h2", { dir: "auto", id: "with" });
    this.state = h("p", { class: "state", role: "status" });
    this.life = h("p", { class: "life" });
    this.verified = verifiedMark(t);
    this.leave = h("button", { type: "button", class: "quiet", onclick: on.leave }, t("leave"));
    this.element = h("section", { class: "talk", role: "tabpanel", id: "talk", "aria-labelledby": "with", hidden: true },
      h("header", {}, this.back,
        h("div", { class: "with" }, this.name, h("div", { class: "line" }, this.verified, this.state, this.life)), this.leave),
      this.conversation.element);
    this.idle = h("div", { class: "idle" }, icon("chat"), h("p", {}, t("choose")));
  }

  update() {
    const t = this.#t;
    const { desk } = this.#session;
    const chat = desk.current?.chat ?? null;
    this.element.hidden = !chat;
    this.idle.hidden = Boolean(chat);
    this.conversation.show(chat);
    if (!chat) { // nothing of the last one stays in the page
      write(this.name, "");
      this.conversation.text.value = "";
      return;
    }
    const { username, verified } = chat.participant;
    write(this.name, username);
    this.verified.hidden = !verified;
    write(this.state, chat.state === "ended" ? t("endedAgent") : stateOf(t, chat));
    this.#countOthers();
    this.state.dataset.state = chat.state;
    const over = isOver(chat);
    write(this.leave, t(over ? "close" : "leave"));
    this.leave.setAttribute("aria-label", t(over ? "closeName" : "leaveName", { name: username }));
    this.tick();
  }

  /** On a phone the lists are behind the conversation: what happens there is counted beside the way back. */
  #countOthers() {
    const { desk, lobby } = this.#session;
    const count = lobby.users.size + desk.unread - desk.current.unread;
    const words = count ? this.#t("backCount", { count }) : this.#t("back");
    write(this.others, count ? String(count) : "");
    this.back.setAttribute("aria-label", words);
    this.back.title = words;
  }

  /** What changes with time alone. */
  tick() {
    showLife(this.life, this.#session.desk.current?.chat, this.#ttl, (time) => this.#t("expiresIn", { time }));
  }

  /** Goes to where the conversation goes on: the message field, or what can be read. */
  focus() {
    if (!this.write()) this.conversation.log.focus();
  }

  /** Puts the cursor into the message field. @returns {boolean} false if there is none */
  write() {
    if (!this.#session.desk.current || this.conversation.form.hidden) return false;
    this.conversation.text.focus();
    return true;
  }
}

/** How a chat stands, in a word or two. */
export function stateOf(t, { state, problem }) {
  if (problem === "unauthorized") return t("noToken");
  if (problem === "already_taken") return t("stateTaken");
  const words = { connected: "stateConnected", offline: "stateOffline", ended: "stateEnded", closed: "stateClosed" };
  return t(words[state] ?? "stateConnecting");
}

/** Shows how long a chat still lives. @param {(time: string) => string} words */
export function showLife(element, chat, ttl, words = (time) => time) {
  const left = chat?.state === "connected" ? Math.max(0, chat.renewed + ttl - Date.now()) : -1;
  element.classList.toggle("near", left >= 0 && left < Math.min(NEAR_END, ttl / 2));
  write(element, left < 0 ? "" : words(clock(left)));
}
