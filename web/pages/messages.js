import { h, icon, write } from "./dom.js";
import { Facts, showTeam, teamMark } from "./facts.js";
import { isShown } from "./focus.js";
import { list } from "./list.js";
import { Moments } from "./moments.js";
import { reason } from "./strings.js";
import { paragraphs } from "./text.js";

/** The messages that visitors have left: the open ones and those that are done. */
export class MessagesDialog {
  #session;
  #t;
  #lang;
  #moments;
  #facts = new WeakMap(); // by item
  #written = new WeakSet();

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   */
  constructor(session, t, lang) {
    this.#session = session;
    this.#t = t;
    this.#lang = lang;
    this.#moments = new Moments(lang);
    this.count = h("span", { class: "count" });
    /** Opens the dialog. */
    this.button = h("button", { type: "button", class: "tool", id: "inbox", "aria-haspopup": "dialog", hidden: true, onclick: () => this.open() }, icon("mail"), this.count);
    const which = (done, words) => h("button", { type: "button", "aria-pressed": "false", onclick: () => session.inbox.show(done, session.inbox.team) }, t(words));
    this.waiting = which(false, "leftWaiting");
    this.done = which(true, "leftDone");
    this.teams = h("select", { "aria-label": t("team"), hidden: true, onchange: () => session.inbox.show(session.inbox.done, this.teams.value) });
    this.items = h("ul", { class: "left-messages" });
    this.none = h("p", { class: "note" });
    this.problem = h("p", { class: "hint", role: "alert" });
    this.more = h("button", { type: "button", onclick: () => session.inbox.further() }, t("leftFurther"));
    this.close = h("button", { type: "button", onclick: () => this.element.close() }, t("close"));
    this.element = h("dialog", { class: "inbox", "aria-labelledby": "inbox-title" }, h("h2", { id: "inbox-title" }, t("messages")),
      h("div", { class: "which" }, this.waiting, this.done, this.teams),
      this.items, this.none, this.problem, h("div", { class: "choice" }, this.more, this.close));
  }

  open() {
    this.#session.inbox.show(false);
    this.update();
    this.element.showModal();
    this.close.focus();
  }

  update() {
    const t = this.#t;
    const { inbox, signedIn } = this.#session;
    const { there, done, more, waiting } = inbox;
    this.button.hidden = !signedIn || !there;
    const name = waiting ? t("leftCount", { count: waiting }) : t("messages");
    if (this.button.title !== name) {
      this.button.title = name;
      this.button.setAttribute("aria-label", name);
    }
    write(this.count, !waiting ? "" : waiting > 99 ? "99+" : String(waiting));
    if (!signedIn && this.element.open) this.element.close();
    this.waiting.setAttribute("aria-pressed", String(!done));
    this.done.setAttribute("aria-pressed", String(done));
    this.more.hidden = !more;
    write(this.problem, inbox.problem ? reason(t, inbox.problem) : "");
    this.#showTeams();
    const focused = this.items.contains(document.activeElement);
    list(this.items, new Map(inbox.messages.map((one) => [one.messageId, one])), () => this.#item(), (item, one) => this.#updateItem(item, one));
    if (focused && !this.items.contains(document.activeElement)) (this.items.querySelector(".finish:not([hidden])") ?? this.close).focus();
    this.none.hidden = inbox.messages.length > 0;
    write(this.none, t(done ? "leftNoneDone" : "leftNone"));
  }

  /** Updates the teams to choose from. */
  #showTeams() {
    const { inbox } = this.#session;
    const ids = [...inbox.teams].sort();
    this.teams.hidden = ids.length === 0;
    if (isShown(this.teams) && document.activeElement === this.teams) return; // not while somebody is choosing
    const options = [["", this.#t("allTeams")], ...ids.map((id) => [id, this.#session.team(id)])];
    this.teams.replaceChildren(...options.map(([value, words]) => h("option", { value }, words)));
    this.teams.value = inbox.team;
  }

  #item() {
    const facts = new Facts(this.#t, this.#lang, this.#session);
    const item = h("li", {},
      h("div", { class: "sender" }, h("p", { class: "name", dir: "auto" }), h("a", { dir: "ltr" }), h("time", {}), teamMark()),
      h("div", { class: "content" }), facts.element,
      h("button", { type: "button", class: "finish" }, this.#t("leftFinish")));
    this.#facts.set(item, facts);
    item.lastElementChild.addEventListener("click", () => this.#session.inbox.finish(item.dataset.key));
    return item;
  }

  #updateItem(item, { name, email, content, team, details, timestamp, done }) {
    const button = item.lastElementChild;
    button.hidden = done;
    showTeam(item.firstElementChild.lastElementChild, this.#session.team(team ?? ""));
    this.#facts.get(item).update({ details: details ?? {} });
    if (this.#written.has(item)) return; // nothing else of it changes
    this.#written.add(item);
    const [who, address, time] = item.firstElementChild.children;
    write(who, name);
    who.hidden = !name;
    address.hidden = !email;
    write(address, email);
    address.href = `mailto:${encodeURIComponent(email)}`;
    time.dateTime = timestamp;
    write(time, this.#moments.full(new Date(timestamp)));
    item.children[1].append(paragraphs(content));
    button.setAttribute("aria-label", this.#t("leftFinishName", { name: name || email }));
  }
}
