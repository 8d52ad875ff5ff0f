import { announce, h, icon, write } from "./dom.js";
import { MessageField } from "./field.js";
import { Moments } from "./moments.js";
import { aborter } from "./native.js";
import { reason } from "./strings.js";
import { cut, linked, onlyEmoji, visible, wellFormed } from "./text.js";

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
  #chat = null;
  #shown = null;
  #from = 0; // the first message that is in the page
  #following = true;
  #lastTop = 0;

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {Pick<import("./storage.js").Store, "get"|"set">} drafts keeps what is half written
   * @param {...Node} tools what stands beside the message field
   */
  constructor(t, lang, drafts, ...tools) {
    this.#t = t;
    this.#moments = new Moments(lang);
    this.earlier = h("button", { type: "button", class: "quiet earlier", hidden: true, onclick: () => this.#earlier() }, t("earlier"));
    this.messages = h("div", { class: "messages" });
    this.outbox = h("ol", { class: "outbox" });
    /** How far this side's last message has come. */
    this.fate = h("p", { class: "fate" });
    /** What the other side is writing, where that is shown. Screen readers hear of it once it is sent. */
    this.preview = h("div", { class: "message other preview", "aria-hidden": "true", hidden: true });
    this.typing = h("p", { class: "typing", "aria-hidden": "true", hidden: true });
    this.log = h("div", { class: "log", tabIndex: 0, role: "region", "aria-label": t("messages") },
      h("div", { class: "track" }, this.earlier, this.messages, this.outbox, this.preview));
    this.newer = h("button", { type: "button", class: "newer", hidden: true, onclick: () => this.toEnd() }, icon("down"), t("newer"));
    /** What a visitor is to know before the first key: see typing.js. */
    this.previewed = h("p", { class: "note previewed", id: "message-preview", hidden: true }, t("previewed"));
    this.live = h("div", { class: "unseen", "aria-live": "polite" });
    const draft = () => `draft.${this.#chat.participant.chatId}`;
    this.field = new MessageField(t,
      { id: "message", enterSends: true, grows: true, submit: () => this.#submit() },
      { get: () => drafts.get(draft()), set: (text) => drafts.set(draft(), text) },
      { rows: 1, placeholder: t("writeHere"), "aria-label": t("message"), "aria-describedby": "message-preview message-keys message-hint" });
    this.text = this.field.text;
    const send = h("button", {
      class: "send", "aria-label": t("send"), title: t("send"),
      onmousedown: (event) => event.preventDefault(), // the field keeps the focus, and a phone its keyboard
    }, icon("send"));
    this.form = h("form", { class: "composer", onsubmit: (event) => this.#submitted(event) },
      this.previewed, this.field.hint, this.field.alarm,
      h("div", { class: "field" }, ...tools, this.text, send), this.field.keys);
    this.element = h("section", { class: "conversation" },
      h("div", { class: "view" }, this.log, this.typing, this.newer), this.live, this.form);
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
    for (const part of [this.live, this.messages, this.outbox, this.preview, this.typing]) part.replaceChildren();
    if (!chat) return;
    this.#shown = aborter();
    const { signal } = this.#shown;
    chat.addEventListener("history", () => this.#all(), { signal });
    chat.addEventListener("message", ({ detail }) => this.#add(detail), { signal });
    chat.addEventListener("change", () => this.#changed(), { signal });
    chat.addEventListener("receipt", () => this.#showFate(), { signal });
    chat.addEventListener("typing", () => this.#showTyping(), { signal });
    document.addEventListener("visibilitychange", () => this.#read(), { signal });
    this.field.restore();
    this.#all();
    this.#showTyping();
    this.#changed();
  }

  /** Puts a text where the cursor is. @param {string} text */
  insert(text) {
    this.field.insert(text);
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

  #submit() {
    if (!this.field.sendable()) return;
    const content = wellFormed(this.field.value);
    this.field.value = "";
    this.#chat.send(content);
    this.toEnd();
  }

  #all() {
    const { messages } = this.#chat;
    this.#from = Math.max(0, messages.length - WINDOW);
    this.messages.replaceChildren(...this.#pages(this.#from, messages.length));
    this.earlier.hidden = this.#from === 0;
    this.#showFate();
    this.toEnd();
    this.#read();
  }

  #earlier() {
    const { log } = this;
    const fromEnd = log.scrollHeight - log.scrollTop;
    const to = this.#from;
    this.#from = Math.max(0, to - WINDOW);
    this.messages.prepend(...this.#pages(this.#from, to));
    this.earlier.hidden = this.#from === 0;
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
    if (this.#own(message)) return this.#showFate();
    announce(this.live, this.#t("announce", { name: this.#name(message), text: cut(message.content, READ_OUT) }));
    if (!this.#following) this.newer.hidden = false;
  }

  #changed() {
    const { state, problem, outbox } = this.#chat;
    const over = isOver(this.#chat);
    const draft = { messageId: "draft", content: this.field.value, problem: state === "ended" ? "expired" : problem };
    this.#showUnsent(over && visible(draft.content) ? [...outbox, draft] : outbox, over);
    this.fate.hidden = this.outbox.childElementCount > 0; // the last one is not yet sent
    if (this.form.hidden === over) return;
    const focused = this.form.contains(this.form.getRootNode().activeElement);
    this.form.hidden = over;
    if (over && focused) this.next.focus();
  }

  /** What stays the same stays in the page, so that nothing is read out twice. */
  #showUnsent(unsent, over) {
    const keys = unsent.map(({ messageId, problem }) => `${messageId} ${problem ?? this.#chat.state} ${over}`);
    for (const item of [...this.outbox.children]) {
      if (!keys.includes(item.dataset.key)) item.remove();
    }
    let next = this.outbox.firstElementChild;
    for (const [i, key] of keys.entries()) {
      if (next?.dataset.key === key) next = next.nextElementSibling;
      else this.outbox.insertBefore(this.#unsent(unsent[i], key, over), next);
    }
  }

  /** Below the last message of this side. */
  #showFate() {
    const last = this.#chat.messages.findLast((message) => this.#own(message));
    const item = last && Array.from(this.messages.querySelectorAll(".message.own")).at(-1);
    if (!item) return this.fate.remove();
    write(this.fate, this.#t(this.#chat.receipts.of(last)));
    if (this.fate.parentElement !== item) item.append(this.fate);
  }

  #showTyping() {
    const t = this.#t;
    const { typing, text } = this.#chat.typing.other;
    const previewed = typing && visible(text);
    this.preview.hidden = !previewed;
    this.preview.replaceChildren(...(previewed ? [h("div", { class: "bubble" }, text), h("p", { class: "fate" }, t("notYetSent"))] : []));
    this.typing.hidden = !typing || previewed;
    write(this.typing, typing ? t("typing", { name: this.#name({ from: this.#chat.participant.role === "Support" ? "User" : "Support" }) }) : "");
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

  #own({ from }) {
    return from === this.#chat.participant.role;
  }

  #name(message) {
    if (this.#own(message)) return this.#t("you");
    const { role, username, supportUserName } = this.#chat.participant;
    return role === "Support" ? username : supportUserName ?? this.#t("agent");
  }

  /** A message, after the day if it is the first one of it. */
  #items(message, before) {
    const at = new Date(message.timestamp);
    const last = before && new Date(before.timestamp);
    const sameDay = last?.toDateString() === at.toDateString();
    const goesOn = sameDay && before.from === message.from && at - last < PAUSE;
    const item = this.#item(message, at, goesOn);
    if (sameDay) return [item];
    return [h("li", { class: "day" }, h("time", { dateTime: message.timestamp }, this.#moments.day(at))), item];
  }

  #item(message, at, goesOn) {
    const own = this.#own(message);
    const full = this.#moments.full(at);
    const item = h("li", { class: `message ${own ? "own" : "other"}${goesOn ? "" : " first"}`, title: full });
    if (!goesOn) {
      item.append(h("p", { class: "who" }, h("span", { dir: "auto" }, this.#name(message)), " ",
        h("time", { dateTime: message.timestamp, title: full, "aria-hidden": "true" }, this.#moments.time(at))));
    }
    item.append(this.#bubble(message.content), h("time", { class: "unseen", dateTime: message.timestamp }, full));
    return item;
  }

  #bubble(content) {
    if (!visible(content)) return h("div", { class: "bubble blank" }, this.#t("blank"));
    try {
      return h("div", { class: `bubble${onlyEmoji(content) ? " emoji" : ""}` }, linked(content));
    } catch (error) { // the text alone, lest the others go with it
      console.error("livesupport: a message cannot be shown as it should be:", error);
      return h("div", { class: "bubble" }, content);
    }
  }

  #unsent({ messageId, content, problem }, key, over) {
    const t = this.#t;
    problem ||= isOver(this.#chat) ? this.#chat.problem : "";
    const item = h("li", { class: `message own ${problem ? "refused" : "pending"}`, dataset: { key } }, this.#bubble(content));
    if (!problem) {
      item.append(h("p", { class: "fate" }, t(["offline", "closed"].includes(this.#chat.state) ? "unsentOffline" : "sending")));
      return item;
    }
    const fate = h("p", { class: "fate", role: "alert" }, t("notSent", { reason: reason(t, problem) }));
    if (!over) {
      const act = (does) => () => {
        does();
        this.text.focus(); // the button is gone
      };
      fate.append(" ",
        h("button", { type: "button", class: "link", onclick: act(() => this.#chat.retry(messageId)) }, t("tryAgain")), " ",
        h("button", { type: "button", class: "link", onclick: act(() => this.#chat.discard(messageId)) }, t("discard")));
    }
    item.append(fate);
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
