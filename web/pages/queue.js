import { clock, h, write } from "./dom.js";
import { Facts, showTeam, teamMark } from "./facts.js";
import { list } from "./list.js";

/** How long the beginning of a wait is remembered after the user has left the list, in ms. */
const REMEMBER = 5 * 60_000;

/** The list of waiting visitors. */
export class Queue {
  #session;
  #t;
  #lang;
  #store;
  /** The beginnings of the waits. An older server does not tell them, so only those of users who came while the list was open are known. */
  #waits;
  #looking = false;
  #facts = new WeakMap(); // by item

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {import("./storage.js").Store} store stores the beginnings of the waits
   * @param {...Element} others more elements for the column
   */
  constructor(session, t, lang, store, ...others) {
    this.#session = session;
    this.#t = t;
    this.#lang = lang;
    this.#store = store;
    this.#waits = new Map(Object.entries(store.get("waits") ?? {}));
    this.count = h("span", { class: "count" });
    this.items = h("ul", { class: "queue" });
    this.nobody = h("div", { class: "empty" }, h("p", {}, t("nobody")), h("p", { class: "note" }, t("nobodyHint")));
    const [before, ...after] = others;
    this.element = h("section", { class: "column waiting", "aria-labelledby": "queue-title", tabIndex: -1 }, before,
      h("h2", { id: "queue-title" }, t("queue"), " ", this.count), this.items, this.nobody, ...after);
  }

  update() {
    const { lobby: { users } } = this.#session;
    this.#noteWaiting();
    list(this.items, users, () => this.#item(), (item, user) => this.#updateItem(item, user));
    write(this.count, users.size ? String(users.size) : "");
    this.nobody.hidden = users.size > 0;
    this.tick();
  }

  /** Updates the times. */
  tick() {
    const { lobby, now } = this.#session;
    for (const item of this.items.children) {
      const since = Date.parse(lobby.users.get(item.dataset.key)?.since);
      const known = Number.isNaN(since) ? this.#waits.get(item.dataset.key) ?? { since: Date.now() } : {};
      const time = clock(Number.isNaN(since) ? Date.now() - known.since : now - since);
      write(item.querySelector(".since"), this.#t(known.atLeast ? "waitsAtLeast" : "waits", { time }));
    }
  }

  #noteWaiting() {
    const { lobby } = this.#session;
    if (lobby.state !== "ready") return;
    const now = Date.now();
    for (const [userId, user] of lobby.users) {
      if (user.since) continue;
      const known = this.#waits.get(userId) ?? { since: now, atLeast: !this.#looking };
      this.#waits.set(userId, { ...known, seen: now });
    }
    const { size } = this.#waits;
    for (const [userId, { seen }] of this.#waits) {
      if (now - seen > REMEMBER) this.#waits.delete(userId);
    }
    this.#looking = true;
    if (size) this.#store.set("waits", Object.fromEntries(this.#waits));
  }

  #item() {
    const t = this.#t;
    const facts = new Facts(t, this.#lang, this.#session);
    const item = h("li", {},
      h("div", {}, h("p", { class: "name", dir: "auto" }), verifiedMark(t), h("p", { class: "since" }), teamMark(),
        h("p", { class: "opening", dir: "auto", hidden: true }), facts.element),
      h("button", { type: "button" }, t("take")));
    this.#facts.set(item, facts);
    item.lastElementChild.addEventListener("click", () => {
      const user = this.#session.lobby.users.get(item.dataset.key);
      if (user) this.#session.take(user);
    });
    return item;
  }

  #updateItem(item, user) {
    const { claiming, lobby } = this.#session;
    const [name, verified, , team, first] = item.firstElementChild.children;
    write(name, user.username);
    verified.hidden = !user.verified;
    showTeam(team, this.#session.team(user.team));
    first.hidden = !user.message;
    write(first, user.message ?? "");
    this.#facts.get(item).update(user);
    const button = item.lastElementChild;
    button.setAttribute("aria-label", this.#t("takeUser", { name: user.username }));
    // A disabled button would lose the focus.
    button.setAttribute("aria-disabled", String(claiming !== "" || lobby.state !== "ready"));
    button.classList.toggle("primary", item === this.items.firstElementChild);
  }
}

/** The mark of a visitor whose site has vouched for them. */
export function verifiedMark(t) {
  return h("p", { class: "verified", title: t("verifiedHint") }, h("span", { "aria-hidden": "true" }, "✓ "), t("verified"));
}
