import { Sizes, wordsOf } from "./attachments.js";
import { announce, h, icon, write } from "./dom.js";
import { MessageField } from "./field.js";
import { isShown } from "./focus.js";
import { Moments } from "./moments.js";
import { aborter } from "./native.js";
import { said } from "./said.js";
import { cut, paragraphs, visible, wellFormed } from "./text.js";
import { Tray } from "./tray.js";
import { Unsent } from "./unsent.js";

/** How many messages are in the page at first, and how many more each time that earlier ones are asked for. */
const WINDOW = 300;
/** Messages stand in lists of so many; those far from the view cost no layout and no paint (see chat.css). */
const PAGE = 50;
/** Within this distance of the end, in px, the view follows new messages. */
const NEAR = 80;
/** A name is repeated after this time, in ms. */
const PAUSE = 5 * 60_000;
/** So many characters of a message are read out as it comes. */
const READ_OUT = 300;
/** The two sides; an observer looks from the agent's. */
const SIDE = { User: "User", Support: "Support", Observer: "Support" };

/** Whether nothing can be written any more. With a new token a chat goes on, and what is being written stays. */
export function isOver({ state, problem }) {
  return state === "ended" || (state === "closed" && problem !== "unauthorized");
}

/**
 * Shows one chat at a time and takes what is written. The widget and the console have one each. It
 * tells the other side who types here, and what has been read: what is in view, in a visible page.
 */
export class Conversation {
  #t;
  #moments;
  #sizes;
  #unsent;
  #forget;
  #held = new Set(); // chats whose message waits for its files
  #chat = null;
  #shown = null;
  #from = 0; // the first message that is in the page
  #following = true;
  #lastTop = 0;

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {Pick<import("./storage.js").Store, "get"|"set">} drafts keeps what is half written
   * @param {Node[]} [tools] what stands beside the message field
   * @param {string} [id] of the message field
   */
  constructor(t, lang, drafts, tools = [], id = "message") {
    this.#t = t;
    this.#moments = new Moments(lang);
    this.#sizes = new Sizes(lang);
    this.earlier = h("button", { type: "button", class: "quiet earlier", hidden: true, onclick: () => this.#earlier() }, t("earlier"));
    this.messages = h("div", { class: "messages" });
    this.#unsent = new Unsent(t, this.#sizes, () => this.text.focus());
    /** How far this side's last message has come. */
    this.fate = h("p", { class: "fate" });
    /** What the other side is writing, where that is shown. Screen readers hear of it once it is sent. */
    this.preview = h("div", { class: "message other preview", "aria-hidden": "true", hidden: true });
    this.typing = h("p", { class: "typing", "aria-hidden": "true", hidden: true });
    this.log = h("div", { class: "log", tabIndex: 0, role: "region", "aria-label": t("messages") },
      h("div", { class: "track" }, this.earlier, this.messages, this.#unsent.element, this.preview));
    this.newer = h("button", { type: "button", class: "newer", hidden: true, onclick: () => this.toEnd() }, icon("down"), t("newer"));
    /** What a visitor is to know before the first key: see typing.js. */
    this.previewed = h("p", { class: "note previewed", id: `${id}-preview`, hidden: true }, t("previewed"));
    this.live = h("div", { class: "unseen", "aria-live": "polite" });
    const draft = (chat = this.#chat) => `draft.${chat.participant.chatId}`;
    this.#forget = (chat) => drafts.set(draft(chat), null);
    this.field = new MessageField(t,
      { id, enterSends: true, grows: true, submit: () => this.#submit() },
      { get: () => drafts.get(draft()), set: (text) => drafts.set(draft(), text) },
      { rows: 1, placeholder: t("writeHere"), "aria-label": t("message"), "aria-describedby": `${id}-preview ${id}-keys ${id}-hint` });
    this.text = this.field.text;
    /** The files of the message that is being written. */
    this.tray = new Tray(t, lang, {
      announce: (words) => announce(this.live, words), removed: () => this.text.focus(), takes: () => isShown(this.form) && !this.#held.has(this.#chat),
    }, id);
    this.waits = h("p", { class: "note waits", role: "status" });
    this.send = h("button", {
      class: "send", "aria-label": t("send"), title: t("send"),
      onmousedown: (event) => event.preventDefault(), // the field keeps the focus, and a phone its keyboard
    }, icon("send"));
    this.form = h("form", { class: "composer", onsubmit: (event) => this.#submitted(event) },
      this.previewed, this.field.hint, this.field.alarm, this.tray.problem, this.tray.element, this.waits,
      h("div", { class: "field" }, ...tools, this.tray.button, this.tray.camera, this.text, this.send), this.field.keys, this.tray.input, this.tray.lens);
    this.element = h("section", { class: "conversation" },
      h("div", { class: "view" }, this.log, this.typing, this.newer), this.live, this.form, this.tray.zone);
    this.tray.watch(this.element, (target) => this.form.contains(target) || this.log.contains(target));
    /** What gets the focus when the chat ends under the hands of somebody who writes. @type {HTMLElement} */
    this.next = this.log;

    this.text.addEventListener("input", () => this.#chat?.typing.key(this.text.value));
    this.text.addEventListener("blur", () => this.#chat?.typing.stop());
    this.log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const follow = new ResizeObserver(() => {
      if (this.#following) this.toEnd();
      this.#read(); // it may have been hidden
    });
    follow.observe(this.log);
    follow.observe(this.log.firstElementChild);
  }

  /** @param {import("./client.js").Chat|null} chat */
  show(chat) {
    this.previewed.hidden = !chat?.typing.preview;
    if (chat === this.#chat) return;
    this.#shown?.abort();
    this.#chat?.typing.stop();
    this.#chat = chat;
    this.tray.show(chat);
    for (const part of [this.live, this.messages, this.#unsent.element, this.preview, this.typing]) part.replaceChildren();
    if (!chat) return;
    this.#shown = aborter();
    const { signal } = this.#shown;
    chat.addEventListener("history", () => this.#all(), { signal });
    chat.addEventListener("message", ({ detail }) => this.#add(detail), { signal });
    chat.addEventListener("change", () => this.#changed(), { signal });
    chat.addEventListener("note", ({ detail }) => this.#noted(detail), { signal });
    chat.addEventListener("receipt", () => this.#showFate(), { signal });
    chat.addEventListener("typing", () => this.#showTyping(), { signal });
    document.addEventListener("visibilitychange", () => this.#read(), { signal });
    this.field.restore();
    this.#hold();
    this.#all();
    this.#showTyping();
    this.#changed();
  }

  /** Puts a text where the cursor is. @param {string} text @param {number} [from] in the place of what stands from there */
  insert(text, from = this.text.selectionStart) {
    if (this.text.readOnly) return;
    this.field.replace(text, from, this.text.selectionEnd);
    this.#chat?.typing.key(this.text.value);
  }

  toEnd() {
    this.#following = true;
    this.newer.hidden = true;
    this.log.scrollTop = this.log.scrollHeight;
    this.#lastTop = this.log.scrollTop;
  }

  #submitted(event) {
    event.preventDefault();
    this.#submit();
  }

  async #submit() {
    const chat = this.#chat;
    const content = visible(this.field.value) ? wellFormed(this.field.value) : "";
    if (this.#held.has(chat) || this.field.tooLong() || !(content || this.tray.count)) return;
    if (this.tray.count && !await this.#filesOf(chat)) return;
    const files = this.tray.take(chat);
    if (!content && !files.length) return; // all were removed meanwhile
    if (chat === this.#chat) this.field.value = "";
    else this.#forget(chat);
    chat.send(content, files);
    if (chat === this.#chat) this.toEnd();
  }

  /** A message waits for its files. What has become of them is said with each. @returns {Promise<boolean>} */
  async #filesOf(chat) {
    this.#held.add(chat);
    this.#hold();
    const there = await this.tray.arrived(chat);
    this.#held.delete(chat);
    this.#hold();
    return there && !isOver(chat);
  }

  #hold() {
    const held = this.#held.has(this.#chat);
    this.text.readOnly = held;
    this.send.setAttribute("aria-disabled", String(held));
    write(this.waits, held ? this.#t("sendWaits") : "");
  }

  #all() {
    const { messages } = this.#chat;
    this.#from = Math.max(0, messages.length - WINDOW);
    this.messages.replaceChildren(...this.#pages(this.#from, messages.length));
    this.earlier.hidden = this.#from === 0;
    this.#placeNotes();
    this.#showFate();
    this.toEnd();
    this.#read();
  }

  /** Each note stands after the messages that were there before it. */
  #placeNotes() {
    for (const item of this.messages.querySelectorAll(".team-note, .event")) item.remove();
    const items = Array.from(this.messages.querySelectorAll(".message"));
    const first = this.#from > 0 ? items[0]?.dataset.at ?? "" : ""; // older ones are not in the page
    let at = 0;
    let before = null;
    for (const note of this.#chat.notes) {
      if (note.timestamp < first) continue;
      for (; at < items.length && items[at].dataset.at <= note.timestamp; at++) before = items[at];
      const item = this.#note(note);
      before ??= this.#firstPage().querySelector(".day");
      if (before) before.after(item);
      else this.#firstPage().prepend(item);
      before = item;
    }
  }

  #firstPage() {
    if (!this.messages.firstElementChild) this.messages.append(h("ol", { class: "page" }));
    return this.messages.firstElementChild;
  }

  #noted(note) {
    for (const item of this.messages.querySelectorAll(".message.first:not(.mine)")) { // the name may not have been known
      if (item.dataset.by === note.supportId) write(item.querySelector(".who > span"), this.#chat.nameOf({ from: "Support", supportId: note.supportId }));
    }
    const last = this.messages.lastElementChild?.lastElementChild;
    if (last?.dataset.at > note.timestamp) this.#placeNotes();
    else if (last) last.after(this.#note(note));
    else this.#firstPage().append(this.#note(note));
    if (note.supportId === this.#chat.participant.supportId) return;
    announce(this.live, this.#t("noteAnnounce", { name: note.supportUserName, text: cut(note.content, READ_OUT) }));
    if (!this.#following) this.newer.hidden = false;
  }

  /**
   * In every way unlike a message: what is taken for one may be told to a visitor. In the archive
   * something else may have happened there: of that, event says it.
   */
  #note({ content, supportUserName, timestamp, event }) {
    const at = new Date(timestamp);
    if (event) return h("li", { class: "event", title: this.#moments.full(at), dataset: { at: timestamp } }, this.#t(event, { name: supportUserName }));
    return h("li", { class: "team-note", title: this.#moments.full(at), dataset: { at: timestamp } },
      h("p", { class: "whose" }, icon("note"), h("span", {}, this.#t("noteBy", { name: supportUserName })), " ",
        h("time", { dateTime: timestamp }, this.#moments.time(at))),
      h("div", { class: "text" }, paragraphs(content)));
  }

  #earlier() {
    const { log } = this;
    const fromEnd = log.scrollHeight - log.scrollTop;
    const to = this.#from;
    this.#from = Math.max(0, to - WINDOW);
    this.messages.prepend(...this.#pages(this.#from, to));
    this.earlier.hidden = this.#from === 0;
    this.#placeNotes();
    this.#showFate();
    log.scrollTop = log.scrollHeight - fromEnd;
    if (this.earlier.hidden) log.focus();
  }

  #pages(from, to) {
    const { messages } = this.#chat;
    const pages = [];
    for (let at = from; at < to; at += PAGE) {
      pages.push(h("ol", { class: "page" },
        ...messages.slice(at, Math.min(at + PAGE, to)).flatMap((message, i) => this.#items(message, messages[at + i - 1]))));
    }
    return pages;
  }

  #add(message) {
    const { messages } = this.#chat;
    let page = this.messages.lastElementChild;
    if (!page || page.childElementCount >= PAGE) {
      page = h("ol", { class: "page" });
      this.messages.append(page);
    }
    page.append(...this.#items(message, messages[messages.length - 2]));
    this.#read();
    if (this.#own(message)) this.#showFate();
    if (this.#mine(message)) return;
    announce(this.live, this.#t("announce", { name: this.#name(message), text: cut(wordsOf(message), READ_OUT) }));
    if (!this.#following) this.newer.hidden = false;
  }

  #changed() {
    const { state, problem, outbox } = this.#chat;
    const over = isOver(this.#chat);
    const draft = { messageId: "draft", content: this.field.value, problem: state === "ended" ? "expired" : problem };
    this.#unsent.show(this.#chat, over && visible(draft.content) ? [...outbox, draft] : outbox, over);
    this.fate.hidden = this.#unsent.element.childElementCount > 0; // the last one is not yet sent
    if (this.form.hidden === over) return;
    if (over) this.tray.drop(this.#chat);
    const focused = this.form.contains(this.form.getRootNode().activeElement);
    this.form.hidden = over;
    if (over && focused) this.next.focus();
  }

  /** Below the last message of this side. */
  #showFate() {
    const last = this.#chat.messages.findLast((message) => this.#own(message));
    const words = last && this.#chat.receipts.of(last);
    const item = words && Array.from(this.messages.querySelectorAll(".message.own")).at(-1);
    if (!item) return this.fate.remove();
    write(this.fate, this.#t(words));
    if (this.fate.parentElement !== item) item.append(this.fate);
  }

  #showTyping() {
    const t = this.#t;
    const { typing, text } = this.#chat.typing.other;
    const previewed = typing && visible(text);
    this.preview.hidden = !previewed;
    this.preview.replaceChildren(...(previewed ? [h("div", { class: "bubble" }, h("p", { dir: "auto" }, text)), h("p", { class: "fate" }, t("notYetSent"))] : []));
    this.typing.hidden = !typing || previewed;
    write(this.typing, typing ? t("typing", { name: this.#name({ from: this.#chat.participant.role === "User" ? "Support" : "User" }) }) : "");
  }

  /** What is in view in a visible page has been read. */
  #read() {
    if (document.hidden || !this.log.clientHeight || !this.#chat?.receipts.unread) return;
    this.#chat.receipts.read(this.#following ? undefined : this.#lastInView());
  }

  /** The number of the last message whose end is in view, or above it. */
  #lastInView() {
    const end = this.log.getBoundingClientRect().bottom + 1; // rounded
    let number = this.#from + this.messages.querySelectorAll(".message").length;
    for (const page of Array.from(this.messages.children).reverse()) {
      const items = Array.from(page.querySelectorAll(".message")).reverse();
      // What is in a page out of view is not measured: that would have it laid out.
      const seen = page.getBoundingClientRect().top < end ? items.findIndex((item) => item.getBoundingClientRect().bottom <= end) : -1;
      if (seen >= 0) return number - seen;
      number -= items.length;
    }
    return number;
  }

  /** Of this side; not necessarily by this person. */
  #own({ from }) {
    return from === SIDE[this.#chat.participant.role];
  }

  /** Several agents may have had a chat. */
  #mine(message) {
    const { role, supportId } = this.#chat.participant;
    return message.from === role && (role === "User" || message.supportId === supportId);
  }

  #name(message) {
    return this.#mine(message) ? this.#t("you") : this.#chat.nameOf(message) || this.#t("agent");
  }

  /** A message, after the day if it is the first one of it. */
  #items(message, before) {
    const at = new Date(message.timestamp);
    const last = before && new Date(before.timestamp);
    const sameDay = last?.toDateString() === at.toDateString();
    const goesOn = sameDay && before.from === message.from && (message.from === "User" || before.supportId === message.supportId) && at - last < PAUSE;
    const item = this.#item(message, at, goesOn);
    if (sameDay) return [item];
    return [h("li", { class: "day" }, h("time", { dateTime: message.timestamp }, this.#moments.day(at))), item];
  }

  #item(message, at, goesOn) {
    const own = this.#own(message);
    const full = this.#moments.full(at);
    const item = h("li", {
      class: `message ${own ? "own" : "other"}${this.#mine(message) ? " mine" : ""}${goesOn ? "" : " first"}`,
      title: full, dataset: { at: message.timestamp, by: message.from === "Support" ? message.supportId : "" },
    });
    if (!goesOn) {
      item.append(h("p", { class: "who" }, h("span", { dir: "auto" }, this.#name(message)), " ",
        h("time", { dateTime: message.timestamp, title: full, "aria-hidden": "true" }, this.#moments.time(at))));
    }
    item.append(...said(this.#t, this.#sizes, this.#chat, message), h("time", { class: "unseen", dateTime: message.timestamp }, full));
    return item;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    if (scrollHeight - scrollTop - clientHeight < NEAR) {
      this.#following = true;
      this.newer.hidden = true;
    } else if (scrollTop < this.#lastTop) {
      this.#following = false;
    }
    this.#lastTop = scrollTop;
    this.#read();
  }
}
