import { clock, h, write } from "./dom.js";
import { list } from "./list.js";

/** How long a user who has left the list keeps the time since when they wait, in ms. */
const REMEMBER = 5 * 60_000;

/** The visitors who wait. */
export class Queue {
  #session;
  #t;
  #store;
  /** Since when a user waits is not told: it is known of those who came while somebody looked. */
  #waits;
  #looking = false;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {import("./storage.js").Store} store keeps since when they wait
   */
  constructor(session, t, store) {
    this.#session = session;
    this.#t = t;
    this.#store = store;
    this.#waits = new Map(Object.entries(store.get("waits") ?? {}));
    this.count = h("span", { class: "count" });
    this.items = h("ul", { class: "queue" });
    this.nobody = h("div", { class: "empty" }, h("p", {}, t("nobody")), h("p", { class: "note" }, t("nobodyHint")));
    this.element = h("section", { class: "column waiting", "aria-labelledby": "queue-title", tabIndex: -1 },
      h("h2", { id: "queue-title" }, t("queue"), " ", this.count), this.items, this.nobody);
  }

  update() {
    const { lobby: { users } } = this.#session;
    this.#noteWaiting();
    list(this.items, users, (_, user) => this.#item(user), (item) => this.#updateItem(item));
    write(this.count, users.size ? String(users.size) : "");
    this.nobody.hidden = users.size > 0;
    this.tick();
  }

  /** What changes with time alone. */
  tick() {
    const now = Date.now();
    for (const item of this.items.children) {
      const { since, atLeast } = this.#waits.get(item.dataset.key) ?? { since: now };
      write(item.querySelector(".since"), this.#t(atLeast ? "waitsAtLeast" : "waits", { time: clock(now - since) }));
    }
  }

  #noteWaiting() {
    const { lobby } = this.#session;
    if (lobby.state !== "ready") return;
    const now = Date.now();
    for (const userId of lobby.users.keys()) {
      const known = this.#waits.get(userId) ?? { since: now, atLeast: !this.#looking };
      this.#waits.set(userId, { ...known, seen: now });
    }
    for (const [userId, { seen }] of this.#waits) {
      if (now - seen > REMEMBER) this.#waits.delete(userId);
    }
    this.#looking = true;
    this.#store.set("waits", Object.fromEntries(this.#waits));
  }

  #item(user) {
    const t = this.#t;
    return h("li", {},
      h("div", {}, h("p", { class: "name", dir: "auto" }, user.username),
        user.verified ? verifiedMark(t) : "", h("p", { class: "since" })),
      h("button", { type: "button", "aria-label": t("takeUser", { name: user.username }), onclick: () => this.#session.take(user) }, t("take")));
  }

  #updateItem(item) {
    const { claiming, lobby } = this.#session;
    const button = item.querySelector("button");
    // Not disabled, which would take the focus from it.
    button.setAttribute("aria-disabled", String(claiming !== "" || lobby.state !== "ready"));
    button.classList.toggle("primary", item === this.items.firstElementChild);
  }
}

/** The sign that a visitor's site has vouched for them. */
export function verifiedMark(t) {
  return h("p", { class: "verified", title: t("verifiedHint") }, h("span", { "aria-hidden": "true" }, "✓ "), t("verified"));
}
