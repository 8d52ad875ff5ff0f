import { h, write } from "./dom.js";

/** The views, by the first part of the URL's fragment. The second part is the archived chat. */
const VIEWS = { chats: "figChats", archive: "archive", reports: "reports" };

/**
 * The three views of the console: the conversations, the archive and the reports. The URL names the current
 * one, so the browser's Back button switches between them. Without an archive, or if this agent may not see
 * it, there is only one view.
 *
 * Events: `change`.
 */
export class Views extends EventTarget {
  #session;
  #t;
  #store;
  #links;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {import("./storage.js").Store} store keeps whether there is something to choose, so that
   *        nothing moves when the page comes back
   */
  constructor(session, t, store) {
    super();
    this.#session = session;
    this.#t = t;
    this.#store = store;
    this.count = h("span", { class: "count" });
    this.#links = Object.entries(VIEWS).map(([view, words]) => h("a", { href: `#${view}`, dataset: { view } }, t(words)));
    this.#links[0].append(" ", this.count);
    this.element = h("nav", { class: "views", "aria-label": t("console"), hidden: true }, ...this.#links);
    addEventListener("hashchange", () => this.#changed());
  }

  /** @returns {"chats"|"archive"|"reports"} */
  get current() {
    const [view] = parts();
    return view in VIEWS && this.#session.signedIn ? view : "chats";
  }

  /** The chatId of the archived chat in the URL, or "". */
  get chatId() {
    const [view, chatId = ""] = parts();
    return view === "archive" && /^[0-9a-f]{32}$/.test(chatId) ? chatId : "";
  }

  /** Shows another view at once, before the browser's event. @param {"chats"|"archive"|"reports"} view */
  go(view) {
    if (this.current === view) return;
    location.hash = view;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  update() {
    const { archive, desk, lobby, signedIn } = this.#session;
    const { current } = this;
    this.element.hidden = !signedIn || !(this.#open(archive.access) || current !== "chats");
    for (const link of this.#links) {
      if (link.dataset.view === current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const waiting = signedIn ? desk.unread + lobby.users.size + lobby.offers.size : 0;
    const calls = waiting > 0 && current !== "chats"; // in that view the list itself shows it
    write(this.count, calls ? String(waiting) : "");
    if (calls) this.#links[0].setAttribute("aria-label", this.#t("backCount", { count: waiting }));
    else this.#links[0].removeAttribute("aria-label");
  }

  #open(access) {
    const before = this.#store.get("archive") === true;
    if (access === "unknown") return before;
    const open = access === "open";
    if (open !== before) this.#store.set("archive", open || null);
    return open;
  }

  /** The title of the window. @param {string} console */
  title(console) {
    return this.current === "chats" ? console : `${this.#t(VIEWS[this.current])} · ${console}`;
  }
}

const parts = () => location.hash.slice(1).split("/");
