import { announce, clock, h, write } from "./dom.js";
import { Facts, showTeam, teamMark } from "./facts.js";
import { isShown } from "./focus.js";
import { list } from "./list.js";
import { verifiedMark } from "./queue.js";

/** An offer is about to end when it has less time left than this, in ms. */
const LAST = 5_000;
/** Keys within this time after the focus has moved here by itself, in ms, were meant for something else. */
const SURPRISE = 500;

/**
 * The visitors who are offered to this agent. Enter accepts and Escape declines while the focus is here.
 * A new offer takes the focus, unless the agent is using a field or a dialog.
 */
export class Offers {
  #session;
  #t;
  #lang;
  #facts = new WeakMap(); // by item
  #before = null; // the element that had the focus
  #surprised = -Infinity; // when the focus moved here by itself

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {() => void} back shows the list
   * @param {() => void} done moves the focus when the last offer is gone
   */
  constructor(session, t, lang, back, done) {
    this.#session = session;
    this.#t = t;
    this.#lang = lang;
    this.done = done;
    this.items = h("ul", { class: "offers" });
    /** The live region, which must be in the page before its text changes. */
    this.live = h("div", { class: "unseen", role: "status" });
    this.box = h("section", { class: "offered", "aria-labelledby": "offers-title", hidden: true },
      h("h2", { id: "offers-title" }, t("offers")), this.items, h("p", { class: "note keys" }, t("offerKeys")));
    /** The bar above everything else while the list is hidden: behind a conversation on a phone, or in the archive. */
    this.strip = h("button", { type: "button", class: "strip", hidden: true, onclick: back });
    this.element = h("div", {}, this.box);
  }

  update() {
    const { lobby: { offers }, signedIn } = this.#session;
    if (!signedIn) this.live.replaceChildren();
    const focused = this.items.contains(document.activeElement);
    this.box.hidden = offers.size === 0;
    list(this.items, offers, () => this.#item(), (item, offer) => this.#updateItem(item, offer));
    if (focused && !this.items.contains(document.activeElement) && !this.focus()) this.#back();
    this.tick();
  }

  /** Announces a new offer, and moves the focus to it if nothing else needs it. @param {import("./lobby.js").Offer} offer */
  came({ username, from }) {
    announce(this.live, this.#t(from ? "offerFrom" : "offerCame", { name: username, from }));
    const at = document.activeElement;
    if (at?.matches("input, textarea, select") || document.querySelector("dialog[open]") || this.items.contains(at)) return;
    if (this.focus()) this.#surprised = performance.now();
  }

  /** Moves the focus to the first offer. @returns {boolean} false if there is none */
  focus() {
    const button = this.items.querySelector(".primary");
    if (!button || !isShown(button)) return false;
    if (!this.items.contains(document.activeElement)) this.#before = document.activeElement;
    button.focus();
    return true;
  }

  /** Updates the times. */
  tick() {
    const { lobby, now } = this.#session;
    for (const item of this.items.children) {
      const offer = lobby.offers.get(item.dataset.key);
      if (!offer) continue;
      const left = Math.max(0, Date.parse(offer.expires) - now);
      const element = item.querySelector(".left");
      element.classList.toggle("near", left < LAST);
      write(element, this.#t("offerLeft", { time: clock(left + 999) }));
    }
    const [first] = lobby.offers.values();
    this.strip.hidden = !first || isShown(this.box);
    write(this.strip, first ? this.#t("offerStrip", { name: first.username, time: clock(Math.max(0, Date.parse(first.expires) - now) + 999) }) : "");
  }

  #item() {
    const t = this.#t;
    const facts = new Facts(t, this.#lang, this.#session);
    const offer = () => this.#session.lobby.offers.get(item.dataset.key);
    const accept = h("button", { type: "button", class: "primary", onclick: () => offer() && this.#session.take(offer()) }, t("accept"));
    const decline = h("button", { type: "button", onclick: () => offer() && this.#session.lobby.decline(offer()) }, t("decline"));
    const item = h("li", {},
      h("p", { class: "name", dir: "auto" }), verifiedMark(t), h("p", { class: "from", hidden: true }),
      h("p", { class: "since" }), teamMark(), h("p", { class: "opening", dir: "auto", hidden: true }),
      h("p", { class: "handed", dir: "auto", hidden: true }), facts.element,
      h("p", { class: "left" }), h("div", { class: "choice" }, decline, accept));
    item.addEventListener("keydown", (event) => {
      if (event.repeat || performance.now() - this.#surprised < SURPRISE) return event.preventDefault();
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      event.stopPropagation();
      decline.click();
    });
    this.#facts.set(item, facts);
    return item;
  }

  #updateItem(item, offer) {
    const t = this.#t;
    const [name, verified, from, since, team, first, handed] = item.children;
    write(name, offer.username);
    verified.hidden = !offer.verified;
    from.hidden = !offer.from;
    write(from, offer.from ? t("givenBy", { name: offer.from }) : "");
    const waits = Date.parse(offer.since);
    since.hidden = Number.isNaN(waits);
    if (!since.hidden) write(since, t("waits", { time: clock(this.#session.now - waits) }));
    showTeam(team, this.#session.team(offer.team));
    for (const [element, text] of [[first, offer.message], [handed, offer.note]]) {
      element.hidden = !text;
      write(element, text ?? "");
    }
    this.#facts.get(item).update(offer);
    const [decline, accept] = item.lastElementChild.children;
    decline.setAttribute("aria-label", t("declineUser", { name: offer.username }));
    accept.setAttribute("aria-label", t("acceptUser", { name: offer.username }));
    accept.setAttribute("aria-disabled", String(this.#session.claiming !== ""));
  }

  #back() {
    const before = this.#before;
    this.#before = null;
    if (before && before !== document.body && isShown(before)) before.focus();
    else this.done();
  }
}
