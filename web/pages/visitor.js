import { Availability, Chat, leave, nameIn, register, subjectIn } from "./client.js";
import { chime, TitleFlash } from "./attention.js";
import { planFor } from "./away.js";
import { BackCloses } from "./back.js";
import { besideKeyboard } from "./keyboard.js";
import { Conversation } from "./conversation.js";
import { announce, clock, h, label, write } from "./dom.js";
import { onColour } from "./colour.js";
import { Ending } from "./ending.js";
import { isShown } from "./focus.js";
import { Moments } from "./moments.js";
import { aborter, clearInterval, setInterval, setTimeout } from "./native.js";
import { leftWords, waitingWords } from "./place.js";
import { RatingForm } from "./rating.js";
import { StartForm } from "./start.js";
import { ofPerson, ofTab, Outbox, prefix, shared } from "./storage.js";
import { reason } from "./strings.js";
import { wellFormed } from "./text.js";
import { save, transcript } from "./transcript.js";
import { keepsPage } from "./tray.js";

/** The visitor is warned when the chat has less time left than this, in ms. */
const WARNING = 30_000;
/** How long a notification waits, in ms, so that another tab which shows the message can say so first. */
const ELSEWHERE = 400;
/** How long an open panel waits for the availability, in ms, so that the form does not move while it is used. */
const KNOWN = 1_000;
/** The maximum number of characters of the page's address that agents see. */
const MAX_ADDRESS = 2_048;
const PRESENCE = { online: "agentOnline", away: "agentAway", offline: "agentOffline" };
/** Matches when the panel covers the page, as in visitor.css. */
const covering = matchMedia("(max-width: 30rem), (max-height: 30rem)");

/** The chat button and its panel. */
export class Widget {
  #base;
  #ttl;
  #preview;
  #token;
  #t;
  /** @type {Chat|null} */
  #chat = null;
  #outbox = null;
  #ended = false;
  #isOpen = false;
  #availability;
  #late = false; // the availability is late
  #focuses = false; // the form gets the focus as soon as it appears
  #when; // what the site wants while no agent is available
  #language; // the visitor's language
  #lang; // the language of the texts
  #unread = 0;
  #title = new TitleFlash();
  #life = aborter();
  #timer;

  /**
   * @param {string} base the chat server's URL
   * @param {import("./shell.js").Options} options
   * @param {import("./shell.js").Site} site
   * @param {ReturnType<typeof import("./strings.js").speak>} words
   * @param {() => void} forgotten is called when somebody else has signed in, in another tab
   */
  constructor(base, options, { ttl, preview }, { t, lang, dir }, forgotten) {
    this.#base = base;
    this.#ttl = ttl;
    this.#preview = preview;
    this.#token = options.token ?? "";
    this.#t = t;
    this.#lang = lang;
    this.#language = options.language || navigator.language;
    this.#when = ["wait", "form", "hide"].includes(options.whenAway) ? options.whenAway : "";
    this.#availability = new Availability(base);
    this.title = options.title || t("title");
    this.greeting = options.greeting || t("greeting");
    this.settings = shared(prefix(base));
    this.page = ofTab(prefix(base));
    const person = this.#token && subjectIn(this.#token);
    this.store = ofPerson(this.settings, person);
    this.tab = ofPerson(this.page, person);
    // A visitor has one conversation at a time, so the draft goes on to the next one.
    const draft = { get: () => this.tab.get("draft"), set: (text) => this.tab.set("draft", text) };
    this.conversation = new Conversation(t, lang, { get: draft.get, set: (_, text) => draft.set(text) });

    this.launcher = h("button", { type: "button", class: "launcher", "aria-expanded": "false", "aria-controls": "panel", onclick: () => this.#toggle(!this.#isOpen) });
    this.sound = h("button", { type: "button", class: "tool", onclick: () => this.#switchSound() });
    const close = h("button", { type: "button", class: "tool", onclick: () => this.#toggle(false) });
    label(close, "down", t("minimize"));
    this.presence = h("p", { class: "presence", hidden: true });
    this.status = h("p", { class: "status", role: "status" });
    this.ending = new Ending(t, () => this.#end());
    this.start = new StartForm(t, this.tab, draft, {
      greeting: this.greeting, name: this.#token ? nameIn(this.#token) : options.name ?? "", needsName: !this.#token, language: this.#language,
    }, { start: (filled) => this.#start(filled), leave: (filled) => this.#leaveMessage(filled) });
    this.warning = h("p", { class: "warning", hidden: true });
    const again = h("button", { type: "button", class: "primary", onclick: () => this.#again() }, t("newChat"));
    const moments = new Moments(lang);
    this.saving = h("button", { type: "button", onclick: () => save(transcript(t, moments, this.#chat), new Date(this.#chat.messages[0].timestamp)) }, t("saveChat"));
    this.rating = new RatingForm(t, (score, comment) => this.#rate(score, comment));
    this.over = h("div", { class: "over", hidden: true }, again, this.saving);
    this.again = again;
    this.panel = h("section", { class: "panel", id: "panel", role: "dialog", "aria-label": this.title, tabindex: "-1", hidden: true },
      h("header", {}, h("div", { class: "whose" }, h("h2", { dir: "auto" }, this.title), this.presence), this.sound, close),
      h("div", { class: "line" }, this.status, this.ending.button), this.ending.question,
      this.start.element, this.conversation.element, this.warning, this.rating.element, this.over);
    this.element = h("div", { class: "livesupport", lang, dir, dataset: { position: options.position === "left" ? "left" : "right" } },
      this.panel, this.launcher);
    keepsPage(this.panel);
    this.panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.#toggle(false);
    });
    this.#dress(options.colour || options.color);

    const { signal } = this.#life;
    this.back = new BackCloses(() => this.#toggle(false), signal);
    besideKeyboard(this.panel, signal);
    this.store.watch("chat", (participant) => this.#elsewhere(participant), signal);
    this.store.watch("read", () => this.#count(), signal);
    if (person) this.settings.watch("person", (other) => other !== person && forgotten(), signal);
    document.addEventListener("visibilitychange", () => this.#count(), { signal });
    this.#availability.addEventListener("change", () => !signal.aborted && this.#render(), { signal });
    this.#timer = setInterval(() => this.#tick(), 1_000);

    const participant = this.store.get("chat");
    if (participant) this.#join(participant);
    this.#toggle(this.page.get("open") === true, false);
    this.#render();
  }

  /** Leaves the page. The stored state stays. */
  end() {
    this.#life.abort();
    clearInterval(this.#timer);
    this.#leave();
    this.#title.show("");
  }

  #leave() {
    const chat = this.#chat;
    this.#chat = null; // so that its last change is not taken for one of the new chat
    chat?.close();
  }

  #dress(colour) {
    const on = colour && onColour(colour);
    if (!on) return;
    for (const area of ["accent", "deep"]) {
      this.element.style.setProperty(`--${area}`, colour);
      this.element.style.setProperty(`--on-${area}`, on);
    }
  }

  async #start({ name, text, fields, consent }) {
    let participant;
    try {
      participant = await register(this.#base, name, this.#token, { consent, details: this.#details(fields) });
    } catch ({ code, message }) {
      if (code === "bad_request") await this.#availability.ask(0); // its questions have changed
      return { words: reason(this.#t, code), message };
    }
    if (this.#life.signal.aborted) return { words: "" }; // somebody else has signed in
    this.store.set("chat", participant);
    this.tab.set("draft", null); // otherwise the message field would begin with it
    this.#join(participant);
    this.#chat.send(wellFormed(text));
    this.conversation.text.focus();
    return { words: "" };
  }

  async #leaveMessage({ name, email, text, consent }) {
    try {
      await leave(this.#base, { name: wellFormed(name), email, content: wellFormed(text), details: { ...this.#details(), consent } }, this.#token);
      return { words: "" };
    } catch ({ code }) {
      return { words: this.#t("notLeft", { reason: reason(this.#t, code === "not_found" ? "unavailable" : code) }) };
    }
  }

  /** The page and the referrer that agents see. */
  #details(fields = {}) {
    const some = (text, most) => wellFormed(text.slice(0, most)) || undefined;
    return {
      page: some(location.href, MAX_ADDRESS), referrer: some(document.referrer, MAX_ADDRESS), language: some(this.#language, 35),
      fields: Object.keys(fields).length ? fields : undefined,
    };
  }

  #join(participant) {
    this.#leave();
    this.#ended = false;
    this.#outbox = new Outbox(this.store, participant.chatId);
    const chat = new Chat(this.#base, participant, this.#outbox.load());
    this.#chat = chat;
    chat.addEventListener("change", () => chat === this.#chat && this.#changed());
    chat.addEventListener("history", () => this.#count());
    chat.addEventListener("message", ({ detail }) => this.#came(detail));
    chat.addEventListener("receipt", ({ detail }) => this.#read(chat, detail));
    for (const type of ["queue", "presence", "rated"]) chat.addEventListener(type, () => chat === this.#chat && this.#render());
    this.#changed();
    chat.open();
  }

  #changed() {
    const { state, problem, participant, outbox } = this.#chat;
    const over = state === "ended" || (state === "closed" && problem !== "");
    // Another tab may have a newer chat, or the page of another person may have removed it.
    if (this.store.get("chat")?.chatId === participant.chatId) this.store.set("chat", over ? null : participant);
    if (over && !this.#ended) this.#carry(outbox);
    this.#ended = over;
    this.#outbox.save(over ? [] : outbox);
    this.#render();
  }

  /** Takes unsent messages to the next chat. */
  #carry(outbox) {
    if (outbox.length === 0) return;
    const texts = [...outbox.map(({ content }) => content), this.tab.get("draft")];
    this.tab.set("draft", texts.filter(Boolean).join("\n"));
  }

  /** Another tab has started a chat, or has found that this one is over. */
  #elsewhere(participant) {
    if (!participant || participant.chatId === this.#chat?.participant.chatId) return;
    this.#join(participant);
    this.#count();
  }

  #again() {
    const { username } = this.#chat.participant;
    this.#leave();
    this.#ended = false;
    this.#unread = 0;
    this.start.reopen(username);
    this.#render();
    this.start.focus();
  }

  #toggle(open, focus = true) {
    this.#isOpen = open;
    this.page.set("open", open);
    this.panel.hidden = !open;
    this.launcher.setAttribute("aria-expanded", String(open));
    if (open && !this.#availability.asked) setTimeout(() => this.#waited(), KNOWN);
    this.#render();
    if (open) this.conversation.toEnd();
    else this.back.closed();
    if (!focus) return;
    if (open && covering.matches) this.back.opened();
    if (!open) this.launcher.focus();
    else if (!this.#chat) this.#toStart();
    else (this.#ended ? this.conversation.next : this.conversation.text).focus();
  }

  #waited() {
    this.#late = true;
    if (!this.#life.signal.aborted) this.#render();
  }

  #toStart() {
    this.#focuses = this.start.element.hidden;
    if (!this.#focuses) this.start.focus();
    else if (!this.panel.contains(this.panel.getRootNode().activeElement)) this.panel.focus(); // where Escape works
  }

  #came(message) {
    if (message.from !== "Support") return;
    this.#count();
    setTimeout(() => this.#tell(message), ELSEWHERE);
  }

  #tell({ timestamp }) {
    if (timestamp <= (this.store.get("read") ?? "")) return;
    if (this.settings.get("mute") !== true) chime();
    this.#title.show(this.#t("titleUnread", { count: this.#unread }));
  }

  /**
   * Stores the time of the last message that the visitor has read, here or on another device, for all tabs.
   * A server without receipts does not know it.
   */
  #read(chat, { from, read }) {
    if (chat !== this.#chat || from !== "User") return;
    const { timestamp = "" } = chat.messages[read - 1] ?? {};
    if (timestamp > (this.store.get("read") ?? "")) this.store.set("read", timestamp);
    this.#count();
  }

  #count() {
    const { messages = [] } = this.#chat ?? {};
    const read = this.store.get("read") ?? "";
    this.#unread = messages.filter(({ from, timestamp }) => from === "Support" && timestamp > read).length;
    if (!this.#unread) this.#title.show("");
    this.#render();
  }

  async #end() {
    const chat = this.#chat;
    await chat.end();
    if (chat !== this.#chat || chat.state !== "closed") return;
    this.store.set("chat", null); // the server cannot end chats, so the visitor has left it
    this.#again();
  }

  async #rate(score, comment) {
    const chat = this.#chat;
    try {
      await chat.rate(score, wellFormed(comment));
      return "";
    } catch (error) {
      return chat.gone ? "" : reason(this.#t, error.code);
    }
  }

  /** Asks for the availability before the first chat, and while a visitor waits with the panel open. */
  #ask() {
    const { state = "none", extended = false } = this.#chat ?? {};
    const wanted = this.#chat ? this.#isOpen && extended && (state === "waiting" || !this.#availability.asked) : this.#isOpen || !this.#availability.asked;
    if (wanted && !document.hidden) this.#availability.ask();
  }

  #switchSound() {
    const mute = this.settings.get("mute") !== true;
    this.settings.set("mute", mute);
    if (!mute) chime();
    this.#render();
  }

  #line() {
    const t = this.#t;
    const { state, problem, participant, queue, ended, left } = this.#chat;
    const name = participant.supportUserName ?? t("agent");
    if (problem === "chat_full") return t("tooManyTabs");
    switch (state) {
      case "connected": return t("connectedWith", { name });
      case "waiting": return left ? leftWords(t, left, queue) : waitingWords(t, queue, this.#availability.status);
      case "ended": return t({ User: "endedByYou", Support: "endedByAgent" }[ended.from] ?? "ended", { name });
      default: return t(state);
    }
  }

  #render() {
    const t = this.#t;
    const chat = this.#chat;
    const state = this.#ended ? "ended" : chat?.state ?? "none";
    this.element.dataset.state = state;
    write(this.status, chat ? this.#line() : "");
    const there = chat?.state === "connected" ? chat.presence.other : "";
    this.presence.hidden = !there;
    this.presence.dataset.state = there;
    write(this.presence, there && t(PRESENCE[there], { name: chat.participant.supportUserName ?? t("agent") }));
    const form = this.start.element;
    const focused = form.getRootNode().activeElement;
    const writing = form.contains(focused);
    form.hidden = chat !== null || !(this.#availability.asked || this.#late);
    const plan = planFor(t, this.#availability, this.#when, this.#language, this.#lang);
    this.start.show(plan, this.#availability.status);
    // While the availability is unknown, do not show a button that may disappear again.
    this.launcher.hidden = !chat && !this.#isOpen && (plan.hides || (this.#when === "hide" && !this.#availability.asked));
    this.conversation.element.hidden = chat === null;
    if (chat || !this.#isOpen) this.#focuses = false;
    else if (this.#focuses) this.#toStart();
    this.ending.offer(Boolean(chat?.extended) && !this.#ended);
    this.rating.show(chat);
    this.over.hidden = !this.#ended;
    this.saving.hidden = !chat?.messages.length;
    this.conversation.next = this.rating.asks ? this.rating.element : this.again;
    this.again.classList.toggle("primary", !this.rating.asks); // one thing at a time
    this.#showPreview();
    this.conversation.show(chat);
    this.conversation.tray.offer(this.#availability.status?.files);
    if (!chat) this.conversation.text.value = ""; // nothing of the last chat stays in the page
    if (chat && writing && !this.#ended) this.conversation.text.focus();
    else if (this.#ended && focused && this.panel.contains(focused) && !isShown(focused)) this.conversation.next.focus();
    this.#tick();

    const mute = this.settings.get("mute") === true;
    label(this.sound, mute ? "mute" : "sound", t(mute ? "soundOn" : "soundOff"));
    const count = this.#isOpen ? 0 : this.#unread;
    const name = this.#isOpen ? t("minimize") : count ? t("openUnread", { count }) : t("open");
    if (this.launcher.getAttribute("aria-label") === name) return;
    label(this.launcher, this.#isOpen ? "down" : "chat", name);
    if (count) this.launcher.append(h("span", { class: "badge", "aria-hidden": "true" }, count > 99 ? "99+" : String(count)));
  }

  /** Tells the visitor about the preview before the first key, so only while the field is empty. */
  #showPreview() {
    const chat = this.#chat;
    if (chat && (this.#preview || this.#availability.status?.preview) && !this.conversation.text.value) chat.typing.preview = true;
  }

  /** Warns in time before the chat ends. */
  #tick() {
    this.#ask();
    const left = this.#chat?.state === "connected" ? this.#chat.renewed + this.#ttl - Date.now() : Infinity;
    const before = this.warning.hidden;
    this.warning.hidden = left > Math.min(WARNING, this.#ttl / 2);
    if (this.warning.hidden) return;
    write(this.warning, this.#t("endsIn", { time: clock(left) }));
    if (before) announce(this.conversation.live, this.warning.textContent); // read out once, not each second
  }
}
