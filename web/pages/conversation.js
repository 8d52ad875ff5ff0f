import { MAX_CONTENT } from "./client.js";
import { h, icon, linked, onlyEmoji, write } from "./dom.js";
import { aborter } from "./native.js";
import { reason } from "./strings.js";

/** How many messages are in the page at first, and how many more each time that earlier ones are asked for. */
const WINDOW = 300;
/** Messages stand in lists of so many; those far from the view cost no layout and no paint (see chat.css). */
const PAGE = 50;
/** Within this distance of the end, in px, the view follows new messages. */
const NEAR = 80;
/** A name is repeated after this time, in ms. */
const PAUSE = 5 * 60_000;
/** The composer says how long a text is from this many characters on. */
const NEARLY = MAX_CONTENT - 500;

/** Shows one chat at a time and takes what is written. The widget and the console have one each. */
export class Conversation {
  #t;
  #time;
  #chat = null;
  #shown = null;
  #from = 0; // the first message that is in the page
  #drafts;
  #following = true;
  #lastTop = 0;

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {import("./storage.js").Store} drafts keeps what is half written
   * @param {...Node} tools what stands beside the message field
   */
  constructor(t, lang, drafts, ...tools) {
    this.#t = t;
    this.#drafts = drafts;
    this.#time = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit" });
    this.earlier = h("button", { type: "button", class: "quiet earlier", hidden: true, onclick: () => this.#earlier() }, t("earlier"));
    this.messages = h("div", { class: "messages" });
    this.outbox = h("ol", { class: "outbox" });
    this.log = h("div", { class: "log", tabIndex: 0, role: "region", "aria-label": t("messages") },
      h("div", { class: "track" }, this.earlier, this.messages, this.outbox));
    this.newer = h("button", { type: "button", class: "newer", hidden: true, onclick: () => this.toEnd() }, icon("down"), t("newer"));
    this.live = h("div", { class: "unseen", "aria-live": "polite" });
    this.text = h("textarea", { id: "message", rows: 1, dir: "auto", placeholder: t("writeHere"), "aria-label": t("message"), "aria-describedby": "keys hint" });
    this.hint = h("p", { class: "hint", id: "hint", role: "alert" });
    const send = h("button", { class: "send", "aria-label": t("send"), title: t("send") }, icon("send"));
    this.form = h("form", { class: "composer", onsubmit: (event) => this.#submitted(event) },
      this.hint,
      h("div", { class: "field" }, ...tools, this.text, send),
      h("p", { class: "note keys", id: "keys" }, t("keys")));
    this.element = h("section", { class: "conversation" },
      h("div", { class: "view" }, this.log, this.newer), this.live, this.form);

    this.text.addEventListener("keydown", (event) => {
      // 229 is the Enter that ends a composition, where isComposing is false by then (Safari).
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) this.#submitted(event);
    });
    this.text.addEventListener("input", () => this.#typed());
    this.log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const follow = new ResizeObserver(() => this.#following && this.toEnd());
    follow.observe(this.log);
    follow.observe(this.log.firstElementChild);
  }

  /** @param {import("./client.js").Chat|null} chat */
  show(chat) {
    if (chat === this.#chat) return;
    this.#shown?.abort();
    this.#chat = chat;
    this.live.textContent = "";
    this.messages.replaceChildren();
    this.outbox.replaceChildren();
    if (!chat) return;
    this.#shown = aborter();
    const { signal } = this.#shown;
    chat.addEventListener("history", () => this.#all(), { signal });
    chat.addEventListener("message", ({ detail }) => this.#add(detail), { signal });
    chat.addEventListener("change", () => this.#changed(), { signal });
    this.text.value = this.#drafts.get(`draft.${chat.participant.chatId}`) ?? "";
    this.#typed();
    this.#all();
    this.#changed();
  }

  /** Puts a text where the cursor is. @param {string} text */
  insert(text) {
    const { selectionStart, selectionEnd } = this.text;
    this.text.setRangeText(text, selectionStart, selectionEnd, "end");
    this.#typed();
    this.text.focus();
  }

  toEnd() {
    this.#following = true;
    this.newer.hidden = true;
    this.log.scrollTop = this.log.scrollHeight;
    this.#lastTop = this.log.scrollTop;
  }

  #submitted(event) {
    event.preventDefault();
    const content = this.text.value;
    if (!content.trim() || this.#tooLong()) return;
    this.text.value = "";
    this.#typed();
    this.#chat.send(content);
    this.toEnd();
  }

  #typed() {
    const { text } = this;
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
    this.#drafts.set(`draft.${this.#chat.participant.chatId}`, text.value || null);
    this.#tooLong();
  }

  #tooLong() {
    const count = this.text.value.length > NEARLY ? [...this.text.value].length : 0;
    const most = MAX_CONTENT;
    const tooLong = count > most;
    write(this.hint, tooLong ? this.#t("tooLong", { count, most }) : "");
    this.text.setAttribute("aria-invalid", String(tooLong));
    return tooLong;
  }

  #all() {
    const { messages } = this.#chat;
    this.#from = Math.max(0, messages.length - WINDOW);
    this.messages.replaceChildren(...this.#pages(this.#from, messages.length));
    this.earlier.hidden = this.#from === 0;
    this.toEnd();
  }

  #earlier() {
    const { log } = this;
    const fromEnd = log.scrollHeight - log.scrollTop;
    const to = this.#from;
    this.#from = Math.max(0, to - WINDOW);
    this.messages.prepend(...this.#pages(this.#from, to));
    this.earlier.hidden = this.#from === 0;
    log.scrollTop = log.scrollHeight - fromEnd;
    if (this.earlier.hidden) log.focus();
  }

  #pages(from, to) {
    const { messages } = this.#chat;
    const pages = [];
    for (let at = from; at < to; at += PAGE) {
      pages.push(h("ol", { class: "page" },
        ...messages.slice(at, Math.min(at + PAGE, to)).map((message, i) => this.#item(message, messages[at + i - 1]))));
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
    page.append(this.#item(message, messages[messages.length - 2]));
    if (this.#own(message)) return;
    write(this.live, this.#t("announce", { name: this.#name(message), text: message.content.slice(0, 300) }));
    if (!this.#following) this.newer.hidden = false;
  }

  #changed() {
    const { state, outbox } = this.#chat;
    this.outbox.replaceChildren(...outbox.map((entry) => this.#unsent(entry)));
    const over = state === "ended" || state === "closed";
    if (this.form.hidden !== over) this.form.hidden = over;
  }

  #own({ from }) {
    return from === this.#chat.participant.role;
  }

  #name(message) {
    if (this.#own(message)) return this.#t("you");
    const { role, username, supportUserName } = this.#chat.participant;
    return role === "Support" ? username : supportUserName ?? this.#t("agent");
  }

  #item(message, before) {
    const own = this.#own(message);
    const at = new Date(message.timestamp);
    const goesOn = before && before.from === message.from && at - new Date(before.timestamp) < PAUSE;
    const item = h("li", { class: `message ${own ? "own" : "other"}${goesOn ? "" : " first"}` });
    if (!goesOn) {
      item.append(h("p", { class: "who" }, h("span", { dir: "auto" }, this.#name(message)), " ",
        h("time", { dateTime: message.timestamp }, this.#time.format(at))));
    }
    item.append(this.#bubble(message.content));
    if (own) item.append(h("p", { class: "fate" }, this.#t("sent")));
    return item;
  }

  #bubble(content) {
    try {
      return h("div", { class: `bubble${onlyEmoji(content) ? " emoji" : ""}` }, linked(content));
    } catch (error) { // the text alone, lest the others go with it
      console.error("livesupport: a message cannot be shown as it should be:", error);
      return h("div", { class: "bubble" }, content);
    }
  }

  #unsent({ messageId, content, problem }) {
    const t = this.#t;
    const item = h("li", { class: `message own ${problem ? "refused" : "pending"}` }, this.#bubble(content));
    if (!problem) {
      item.append(h("p", { class: "fate" }, t(this.#chat.state === "offline" ? "unsentOffline" : "sending")));
      return item;
    }
    const fate = h("p", { class: "fate", role: "alert" }, t("notSent", { reason: reason(t, problem) }));
    if (this.#chat.state !== "ended") {
      fate.append(" ",
        h("button", { type: "button", class: "link", onclick: () => this.#chat.retry(messageId) }, t("tryAgain")), " ",
        h("button", { type: "button", class: "link", onclick: () => this.#chat.discard(messageId) }, t("discard")));
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
  }
}
