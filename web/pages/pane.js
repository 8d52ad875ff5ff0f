import { Conversation, isOver } from "./conversation.js";
import { clock, h, icon, label, write } from "./dom.js";
import { EarlierChats } from "./earlier.js";
import { Facts } from "./facts.js";
import { isShown } from "./focus.js";
import { NoteForm } from "./noteform.js";
import { verifiedMark } from "./queue.js";

/** The highest score. */
const MOST = 5;
/** The end of a conversation is near when it has less time left than this, in ms. */
const NEAR_END = 30_000;

/** The visitor's rating. */
export class Rating {
  #t;

  /** @param {(key: string, values?: object) => string} t */
  constructor(t) {
    this.#t = t;
    this.stars = h("span", { class: "stars", "aria-hidden": "true" });
    this.text = h("span");
    this.comment = h("p", { dir: "auto" });
    this.element = h("div", { class: "rating none", role: "status" }, h("p", {}, this.stars, " ", this.text), this.comment);
  }

  /** @param {import("./client.js").Rating|null} [rating] */
  update(rating) {
    this.element.classList.toggle("none", !rating); // screen readers need the status in the page before its text changes
    write(this.stars, rating ? starsOf(rating) : "");
    write(this.text, rating ? this.#t("rated", { score: rating.score, most: MOST }) : "");
    write(this.comment, rating?.comment ?? "");
  }
}

/** A rating as stars. @param {import("./client.js").Rating} rating */
export function starsOf({ score }) {
  return "★".repeat(score) + "☆".repeat(MOST - score);
}

/** The selected conversation, with the visitor and its state. */
export class Pane {
  #session;
  #noting = new WeakSet(); // chats in which the agent is writing a note
  #t;
  #ttl;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {number} ttl how long a chat lives without a message, in ms
   * @param {import("./storage.js").Store} drafts stores drafts
   * @param {{back: () => void, close: () => void, end: () => void, replies: () => void,
   *          transfer: () => void}} on what the buttons do
   */
  constructor(session, t, lang, ttl, drafts, on) {
    this.#session = session;
    this.#t = t;
    this.#ttl = ttl;
    const replies = h("button", { type: "button", class: "tool", onclick: on.replies });
    label(replies, "replies", t("replies"));
    this.conversation = new Conversation(t, lang, drafts, [replies]);
    this.others = h("span", { class: "count" });
    this.back = h("button", { type: "button", class: "tool back", onclick: on.back }, icon("back"), this.others);
    this.name = h("bdi"); // the name has its own direction, and the alignment of the page
    this.state = h("p", { class: "state", role: "status" });
    this.presence = h("p", { class: "presence", hidden: true }); // not a live region: visitors come and go all the time
    this.typing = h("p", { class: "types", "aria-hidden": "true", hidden: true }, t("typingNow"));
    this.life = h("p", { class: "life" });
    this.verified = verifiedMark(t);
    this.transfer = h("button", { type: "button", class: "hand-over", id: "transfer", title: t("transfer"), onclick: on.transfer }, icon("give"), h("span", {}, t("transfer")));
    this.close = h("button", { type: "button", class: "quiet", onclick: on.close }, t("close"));
    this.facts = new Facts(t, lang, session);
    this.earlier = new EarlierChats(session, t, lang);
    this.onlooker = h("p", {});
    this.takeOver = h("button", { type: "button", class: "primary", onclick: () => session.takeOver(session.desk.selected) }, t("takeOver"));
    this.looking = h("div", { class: "looking", hidden: true }, this.onlooker,
      h("div", { class: "choice" }, h("button", { type: "button", onclick: on.end }, t("endBoth")), this.takeOver));
    this.notes = new NoteForm(t, drafts);
    this.toMessage = h("button", { type: "button", onclick: () => this.#writeNote(false) }, t("modeMessage"));
    this.toNote = h("button", { type: "button", class: "as-note", onclick: () => this.#writeNote(true) }, icon("note"), t("modeNote"));
    this.modes = h("div", { class: "modes", role: "group", "aria-label": t("modes"), hidden: true }, this.toMessage, this.toNote);
    this.conversation.element.append(this.modes, this.notes.element);
    this.conversation.form.before(this.modes);
    this.rating = new Rating(t);
    this.element = h("section", { class: "talk", role: "tabpanel", id: "talk", "aria-labelledby": "with", hidden: true },
      h("header", {}, this.back,
        h("div", { class: "with" }, h("h2", { id: "with" }, this.name),
          h("div", { class: "line" }, this.verified, this.state, this.presence, this.typing, this.life)), this.transfer, this.close),
      this.facts.element, this.earlier.element, this.looking, this.conversation.element, this.rating.element);
    this.idle = h("div", { class: "idle" }, icon("chat"), h("p", {}, t("choose")));
  }

  update() {
    const t = this.#t;
    const { desk } = this.#session;
    const chat = desk.current?.chat ?? null;
    this.element.hidden = !chat;
    this.idle.hidden = Boolean(chat);
    this.conversation.show(chat);
    this.conversation.tray.offer(this.#session.files);
    this.notes.show(chat);
    this.#showModes(chat);
    this.rating.update(chat?.rating);
    this.earlier.update(chat);
    if (!chat) { // nothing of the last conversation stays in the page
      for (const part of [this.name, this.state, this.presence, this.life]) write(part, "");
      for (const button of [this.close, this.transfer]) button.removeAttribute("aria-label");
      this.conversation.text.value = "";
      this.facts.update({});
      this.looking.hidden = true;
      write(this.onlooker, "");
      return;
    }
    const { username, verified } = chat.participant;
    write(this.name, username);
    this.verified.hidden = !verified;
    write(this.state, stateOf(t, desk.current));
    this.#countOthers();
    this.state.dataset.state = chat.state;
    this.transfer.setAttribute("aria-label", t("transferAsk", { name: username }));
    this.close.setAttribute("aria-label", t("closeName", { name: username }));
    this.facts.update(chat.participant);
    this.#showLooking(chat);
    this.transfer.hidden = !this.transferable;
    this.#showVisitor(chat);
    this.tick();
  }

  /** Shows the visitor's presence or, while it is unknown, the state of this page's connection. */
  #showVisitor({ state, presence, typing }) {
    const there = state === "connected" && !this.#session.desk.current.ending ? presence.other : "";
    this.state.classList.toggle("unseen", there !== "");
    this.presence.hidden = !there;
    this.presence.dataset.presence = there;
    write(this.presence, there ? this.#t(PRESENCE[there]) : "");
    this.typing.hidden = !typing.other.typing;
    this.life.hidden = typing.other.typing; // typing keeps the chat alive
  }

  /** Shows whether the conversation can be transferred. */
  get transferable() {
    const { chat, ending, moving } = this.#session.desk.current ?? {};
    return Boolean(chat && this.#session.lobby.colleagues && chat.state === "connected" && !ending && !moving);
  }

  #showLooking({ participant: { role, username, supportUserName }, state }) {
    const looks = role === "Observer";
    this.looking.hidden = !looks || isOver({ state });
    this.element.classList.toggle("looks-on", looks);
    if (!looks) return;
    write(this.onlooker, state === "connected" ? this.#t("lookingOn", { name: username, agent: supportUserName }) : this.#t("lookingWaiting", { name: username }));
    this.takeOver.setAttribute("aria-disabled", String(this.#session.desk.current.moving || !["connected", "waiting"].includes(state)));
  }

  /** Shows the form for a note or a message, whichever the agent has chosen in this conversation. */
  #showModes(chat) {
    const writes = chat?.participant.role === "Support";
    const over = !chat || isOver(chat);
    const possible = Boolean(chat && !over && chat.extended && this.#session.lobby.extended);
    const note = possible && (!writes || this.#noting.has(chat));
    this.modes.hidden = !possible || !writes;
    this.toMessage.setAttribute("aria-pressed", String(!note));
    this.toNote.setAttribute("aria-pressed", String(note));
    this.conversation.element.classList.toggle("noting", note);
    this.conversation.element.classList.toggle("only-notes", Boolean(chat) && !writes);
    this.notes.element.hidden = !note;
  }

  #writeNote(yes) {
    const chat = this.#session.desk.current?.chat;
    if (!chat || this.modes.hidden) return;
    if (yes) this.#noting.add(chat);
    else this.#noting.delete(chat);
    chat.typing.stop();
    this.#showModes(chat);
    this.write();
  }

  /** Switches between a message and a note. */
  switchMode() {
    const chat = this.#session.desk.current?.chat;
    if (chat) this.#writeNote(!this.#noting.has(chat));
  }

  /** Counts what happens in the lists, beside the way back: on a phone they are behind the conversation. */
  #countOthers() {
    const { desk, lobby } = this.#session;
    const count = lobby.users.size + lobby.offers.size + desk.unread - desk.current.unread;
    const words = count ? this.#t("backCount", { count }) : this.#t("back");
    write(this.others, count ? String(count) : "");
    this.back.setAttribute("aria-label", words);
    this.back.title = words;
  }

  /** Updates the times. */
  tick() {
    showLife(this.life, this.#session.desk.current?.chat, this.#ttl, (time) => this.#t("expiresIn", { time }));
  }

  /** Moves the focus to the message field or, without one, to the messages. */
  focus() {
    if (!this.write()) this.conversation.log.focus();
  }

  /** Puts the cursor into the message field. @returns {boolean} false if there is none */
  write() {
    if (!this.#session.desk.current) return false;
    const text = this.notes.element.hidden ? this.conversation.text : this.notes.text;
    if (!isShown(text)) return false;
    text.focus();
    return true;
  }
}

/** The words for a visitor's presence. */
export const PRESENCE = { online: "visitorOnline", away: "visitorAway", offline: "visitorOffline" };

/** The state of a conversation in a few words. @param {import("./desk.js").Entry} entry */
export function stateOf(t, { chat: { state, problem, ended, participant }, ending, moving }) {
  if (state === "ended") {
    if (ended.from === "User") return t("endedByVisitor", { name: participant.username });
    if (ended.from === "Support") return t(ending ? "endedHere" : "endedBySupport");
    return t("endedAgent");
  }
  if (problem === "unauthorized") return t("noToken");
  if (problem === "already_taken") return t("stateTaken");
  if (problem === "released") return t(participant.left?.reason === "lost" ? "stateLost" : "stateGiven");
  if (ending && state === "connected") return t("stateEnding");
  if (moving) return t("stateMoving");
  if (participant.role === "Observer" && state === "connected") return t("stateLooking", { agent: participant.supportUserName });
  const words = { connected: "stateConnected", waiting: "stateWaiting", offline: "stateOffline", closed: "stateClosed" };
  return t(words[state] ?? "stateConnecting");
}

/** Shows how much time a chat has left. @param {(time: string) => string} words */
export function showLife(element, chat, ttl, words = (time) => time) {
  const left = chat?.state === "connected" && chat.participant.role === "Support" ? Math.max(0, chat.renewed + ttl - Date.now()) : -1;
  element.classList.toggle("near", left >= 0 && left < Math.min(NEAR_END, ttl / 2));
  write(element, left < 0 ? "" : words(clock(left)));
}
