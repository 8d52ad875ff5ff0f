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

/** The number of messages in the page at first, and of those that each request for earlier ones adds. */
const WINDOW = 300;
/** The number of messages in one list. Lists far from the view need no layout and no paint (see chat.css). */
const PAGE = 50;
/** The view follows new messages within this distance from the end, in px. */
const NEAR = 80;
/** A name is repeated after this time, in ms. */
const PAUSE = 5 * 60_000;
/** The number of characters of a new message that screen readers read out. */
const READ_OUT = 300;
/** The two sides. An observer has the agent's view. */
const SIDE = { User: "User", Support: "Support", Observer: "Support" };

/** Returns whether the chat takes no more messages. A chat whose token has expired goes on with a new one, so its draft stays. */
export function isOver({ state, problem }) {
  return state === "ended" || (state === "closed" && problem !== "unauthorized");
}

/**
 * Shows one chat at a time, and has the field for messages. The widget and the console have one each. It
 * tells the other side that somebody is typing here, and which messages were read: those in view, in a
 * visible page.
 */
export class Conversation {
  #t;
  #moments;
  #sizes;
  #unsent;
  #forget;
  #held = new Set(); // chats with a message that waits for its files
  #chat = null;
  #shown = null;
  #from = 0; // index of the first message in the page
  #following = true;
  #lastTop = 0;

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {Pick<import("./storage.js").Store, "get"|"set">} drafts stores drafts
   * @param {Node[]} [tools] elements beside the message field
   * @param {string} [id] of the message field
   */
  constructor(t, lang, drafts, tools = [], id = "message") {
    this.#t = t;
    this.#moments = new Moments(lang);
    this.#sizes = new Sizes(lang);
    this.earlier = h("button", { type: "button", class: "quiet earlier", hidden: true, onclick: () => this.#earlier() }, t("earlier"));
    this.messages = h("div", { class: "messages" });
    this.#unsent = new Unsent(t, this.#sizes, () => this.text.focus());
    /** The state of this side's last message: sent, delivered or read. */
    this.fate = h("p", { class: "fate" });
    /** The preview of what the other side is typing. Screen readers get only the sent message. */
    this.preview = h("div", { class: "message other preview", "aria-hidden": "true", hidden: true });
    this.typing = h("p", { class: "typing", "aria-hidden": "true", hidden: true });
    this.log = h("div", { class: "log", tabIndex: 0, role: "region", "aria-label": t("messages") },
      h("div", { class: "track" }, this.earlier, this.messages, this.#unsent.element, this.preview));
    this.newer = h("button", { type: "button", class: "newer", hidden: true, onclick: () => this.toEnd() }, icon("down"), t("newer"));
    /** Tells the visitor that agents see what is being typed: see typing.js. */
    this.previewed = h("p", { class: "note previewed", id: `${id}-preview`, hidden: true }, t("previewed"));
    this.live = h("div", { class: "unseen", "aria-live": "polite" });
    const draft = (chat = this.#chat) => `draft.${chat.participant.chatId}`;
    this.#forget = (chat) => drafts.set(draft(chat), null);
    this.field = new MessageField(t,
      { id, enterSends: true, grows: true, submit: () => this.#submit() },
      { get: () => drafts.get(draft()), set: (text) => drafts.set(draft(), text) },
      { rows: 1, placeholder: t("writeHere"), "aria-label": t("message"), "aria-describedby": `${id}-preview ${id}-keys ${id}-hint` });
    this.text = this.field.text;
    /** The files of the draft. */
    this.tray = new Tray(t, lang, {
      announce: (words) => announce(this.live, words), removed: () => this.text.focus(), takes: () => isShown(this.form) && !this.#held.has(this.#chat),
    }, id);
    this.waits = h("p", { class: "note waits", role: "status" });
    this.send = h("button", {
      class: "send", "aria-label": t("send"), title: t("send"),
      onmousedown: (event) => event.preventDefault(), // keeps the focus in the field, and the keyboard of a phone open
    }, icon("send"));
    this.form = h("form", { class: "composer", onsubmit: (event) => this.#submitted(event) },
      this.previewed, this.field.hint, this.field.alarm, this.tray.problem, this.tray.element, this.waits,
      h("div", { class: "field" }, ...tools, this.tray.button, this.tray.camera, this.text, this.send), this.field.keys, this.tray.input, this.tray.lens);
    this.element = h("section", { class: "conversation" },
      h("div", { class: "view" }, this.log, this.typing, this.newer), this.live, this.form, this.tray.zone);
    this.tray.watch(this.element, (target) => this.form.contains(target) || this.log.contains(target));
    /** Gets the focus if the chat ends while somebody is writing. @type {HTMLElement} */
    this.next = this.log;

    this.text.addEventListener("input", () => this.#chat?.typing.key(this.text.value));
    this.text.addEventListener("blur", () => this.#chat?.typing.stop());
    this.log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const follow = new ResizeObserver(() => {
      if (this.#following) this.toEnd();
      this.#read(); // messages may have been hidden until now
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

  /** Inserts a text at the cursor. @param {string} text @param {number} [from] replaces the text from there to the cursor */
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
    if (!content && !files.length) return; // all files were removed in the meantime
    if (chat === this.#chat) this.field.value = "";
    else this.#forget(chat);
    chat.send(content, files);
    if (chat === this.#chat) this.toEnd();
  }

  /** Waits for the files of a message. Each file shows its own result. @returns {Promise<boolean>} */
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

  /** Puts each note after the messages that were written before it. */
  #placeNotes() {
    for (const item of this.messages.querySelectorAll(".team-note, .event")) item.remove();
    const items = Array.from(this.messages.querySelectorAll(".message"));
    const first = this.#from > 0 ? items[0]?.dataset.at ?? "" : ""; // older notes are not in the page
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
    for (const item of this.messages.querySelectorAll(".message.first:not(.mine)")) { // the name may have been unknown until now
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
   * Shows a note. It looks different from a message in every way, so that nobody mistakes one for the
   * other. In the archive it can also be another event: then `event` has the text.
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
    this.fate.hidden = this.#unsent.element.childElementCount > 0; // the last message is not sent yet
    if (this.form.hidden === over) return;
    if (over) this.tray.drop(this.#chat);
    const focused = this.form.contains(this.form.getRootNode().activeElement);
    this.form.hidden = over;
    if (over && focused) this.next.focus();
  }

  /** Shows the state below the last message of this side. */
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

  /** Marks the messages in view as read, if the page is visible. */
  #read() {
    if (document.hidden || !this.log.clientHeight || !this.#chat?.receipts.unread) return;
    this.#chat.receipts.read(this.#following ? undefined : this.#lastInView());
  }

  /** The seq of the last message whose end is in view, or above the view. */
  #lastInView() {
    const end = this.log.getBoundingClientRect().bottom + 1; // rounded
    let number = this.#from + this.messages.querySelectorAll(".message").length;
    for (const page of Array.from(this.messages.children).reverse()) {
      const items = Array.from(page.querySelectorAll(".message")).reverse();
      // Do not measure lists out of view: that would lay them out.
      const seen = page.getBoundingClientRect().top < end ? items.findIndex((item) => item.getBoundingClientRect().bottom <= end) : -1;
      if (seen >= 0) return number - seen;
      number -= items.length;
    }
    return number;
  }

  /** Returns whether a message is of this side, though not necessarily by this person. */
  #own({ from }) {
    return from === SIDE[this.#chat.participant.role];
  }

  /** The name above a message. A chat may have had several agents. */
  #mine(message) {
    const { role, supportId } = this.#chat.participant;
    return message.from === role && (role === "User" || message.supportId === supportId);
  }

  #name(message) {
    return this.#mine(message) ? this.#t("you") : this.#chat.nameOf(message) || this.#t("agent");
  }

  /** The element of a message, after a line with the date if it is the first one of a day. */
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
