import { h } from "./dom.js";

/** A line of the agent's own list, which can begin with a shortcut. */
const SHORTCUT = /^\/(\S+)\s+(.+)$/;

/** The dialog with the canned replies, the agent's own and the site's. The agent can edit their own. */
export class Replies {
  #t;
  #store;
  #session;

  /**
   * @param {(key: string) => string} t
   * @param {import("./storage.js").Store} store stores the list and its draft
   * @param {import("./session.js").Session} session
   * @param {(text: string) => void} chosen
   */
  constructor(t, store, session, chosen) {
    this.#t = t;
    this.#store = store;
    this.#session = session;
    this.chosen = chosen;
    this.list = h("ul", { class: "choices" });
    this.none = h("p", { class: "note" }, t("repliesNone"));
    this.editor = h("textarea", { rows: 8, dir: "auto", "aria-label": t("replies"), "aria-describedby": "replies-hint",
      oninput: () => store.set("draft-replies", this.editor.value) });
    this.edit = h("button", { type: "button", onclick: () => this.#edit() }, t("repliesEdit"));
    this.choosing = h("div", {}, this.list, this.none,
      h("div", { class: "choice" },
        this.edit,
        h("button", { type: "button", onclick: () => this.element.close() }, t("cancel"))));
    this.editing = h("form", { onsubmit: (event) => this.#save(event) },
      this.editor, h("p", { class: "note", id: "replies-hint" }, t("repliesHint")),
      h("div", { class: "choice" },
        h("button", { type: "button", onclick: () => this.#cancel() }, t("cancel")),
        h("button", { class: "primary" }, t("save"))));
    this.element = h("dialog", { class: "replies", "aria-labelledby": "replies-title" },
      h("h2", { id: "replies-title" }, t("replies")), this.choosing, this.editing);
  }

  open() {
    this.#choose();
    this.element.showModal();
  }

  get #own() {
    const t = this.#t;
    return this.#store.get("replies") ?? [t("reply1"), t("reply2"), t("reply3")];
  }

  /** All canned replies. @returns {{shortcut: string, text: string}[]} */
  get all() {
    const own = this.#own.map((line) => {
      const [, shortcut = "", text = line] = SHORTCUT.exec(line) ?? [];
      return { shortcut, text };
    });
    return [...own, ...this.#session.replies];
  }

  #choose() {
    const { all } = this;
    this.list.replaceChildren(...all.map(({ shortcut, text }) => h("li", {},
      h("button", { type: "button", onclick: () => this.#insert(text) }, h("span", { dir: "auto" }, text), shortcut ? h("b", { dir: "ltr" }, `/${shortcut}`) : ""))));
    this.none.hidden = all.length > 0;
    this.choosing.hidden = false;
    this.editing.hidden = true;
    (this.list.querySelector("button") ?? this.edit).focus();
  }

  #edit() {
    this.editor.value = this.#store.get("draft-replies") ?? this.#own.join("\n");
    this.choosing.hidden = true;
    this.editing.hidden = false;
    this.editor.focus();
  }

  #cancel() {
    this.#store.set("draft-replies", null);
    this.#choose();
  }

  #save(event) {
    event.preventDefault();
    this.#store.set("draft-replies", null);
    this.#store.set("replies", this.editor.value.split("\n").map((line) => line.trim()).filter(Boolean));
    this.#choose();
  }

  #insert(text) {
    this.element.close();
    this.chosen(text);
  }
}
