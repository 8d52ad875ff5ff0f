import { h, write } from "./dom.js";
import { list } from "./list.js";

/** The maximum number of colleagues in the list: nobody reads a longer one. */
const MOST = 100;

/** The list of colleagues, with their status and their number of chats. */
export class Colleagues {
  #session;
  #t;
  #shown = null;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   */
  constructor(session, t) {
    this.#session = session;
    this.#t = t;
    this.count = h("span", { class: "count" });
    this.items = h("ul", { class: "colleagues" });
    this.more = h("p", { class: "note", hidden: true });
    this.none = h("p", { class: "note alone" }, t("alone"));
    this.element = h("section", { class: "crew", "aria-labelledby": "crew-title", hidden: true },
      h("h2", { id: "crew-title" }, t("colleagues"), " ", this.count), this.items, this.more, this.none);
  }

  update() {
    const { lobby, signedIn } = this.#session;
    this.element.hidden = !lobby.colleagues || !signedIn;
    if (lobby.colleagues === this.#shown) return;
    this.#shown = lobby.colleagues;
    const all = lobby.others;
    const shown = new Map(sorted(all).slice(0, MOST).map((one) => [one.agent, one]));
    list(this.items, shown, () => h("li", {}, h("span", { class: "there", role: "img" }), h("span", { class: "name", dir: "auto" }),
      h("span", { class: "load" })), (item, one) => this.#updateItem(item, one));
    write(this.count, all.length ? String(all.length) : "");
    this.more.hidden = all.length <= MOST;
    write(this.more, this.more.hidden ? "" : this.#t("andMore", { count: all.length - MOST }));
    this.none.hidden = all.length > 0;
  }

  #updateItem(item, one) {
    const [there, name, load] = item.children;
    there.dataset.status = one.status;
    there.setAttribute("aria-label", this.#t(STATUS[one.status]));
    there.title = this.#t(STATUS[one.status]);
    write(name, one.supportUserName || this.#t("agent"));
    write(load, loadOf(this.#t, one));
  }
}

/** The name of a status. */
export const STATUS = { online: "statusOnline", away: "statusAway", offline: "statusOffline" };

/** The number of chats that a colleague has, and can take. @param {import("./lobby.js").Colleague} colleague */
export function loadOf(t, { chats, capacity }) {
  return capacity ? t("loadOf", { chats, capacity }) : t("load", { count: chats });
}

/** Sorts online colleagues first, then by name. @param {import("./lobby.js").Colleague[]} all */
export function sorted(all) {
  const rank = ({ status }) => Number(status !== "online");
  return [...all].sort((a, b) => rank(a) - rank(b) || a.supportUserName.localeCompare(b.supportUserName));
}
