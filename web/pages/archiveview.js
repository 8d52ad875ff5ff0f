import { Closed } from "./closed.js";
import { h } from "./dom.js";
import { Finder } from "./finder.js";
import { Reader } from "./reader.js";

/** The archive: the search on one side, the open chat on the other. On a phone only one of them is shown. */
export class ArchiveView {
  #session;
  #views;
  #was = "chats";

  /**
   * @param {import("./session.js").Session} session
   * @param {import("./views.js").Views} views
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {import("./confirm.js").Confirm} confirm
   */
  constructor(session, views, t, lang, confirm) {
    this.#session = session;
    this.#views = views;
    this.finder = new Finder(session, t, lang);
    this.reader = new Reader(session, t, lang, confirm, () => {
      location.hash = "archive";
      this.finder.focus("");
    });
    this.closed = new Closed(session, t);
    this.parts = h("div", { class: "shelves" }, this.finder.element, this.reader.whole, this.reader.idle);
    this.element = h("main", { class: "archive", "aria-labelledby": "archive-title", hidden: true }, this.closed.element, this.parts);
  }

  update() {
    const { archive } = this.#session;
    const { current, chatId } = this.#views;
    const came = current === "archive" && this.#was !== "archive";
    const shown = current === "archive";
    this.element.hidden = !shown;
    this.closed.update();
    this.parts.hidden = archive.access !== "open";
    this.element.dataset.reading = String(Boolean(chatId));
    if (archive.access === "open" || !shown) this.#was = current;
    if (shown && archive.access === "open") {
      if (came) archive.again(); // more chats may have ended in the meantime
      const left = !came && !chatId && archive.selected; // return to its place in the list
      archive.read(chatId, came);
      this.finder.update();
      this.reader.update();
      if (left) this.finder.focus(left);
    } else if (!this.#session.signedIn) {
      this.finder.update();
      this.reader.update();
    }
  }

  /** Moves the focus to the search or to the open chat. */
  focus() {
    if (this.#session.archive.record) this.reader.focus();
    else this.finder.focus("");
  }
}
