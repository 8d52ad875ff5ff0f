import { whyNot } from "./closed.js";
import { h, write } from "./dom.js";

/**
 * The dialog behind the agent's name. It changes the name, unless a token sets it, and the number of
 * chats that the agent takes, and it signs the agent out.
 */
export class Account {
  #session;
  #t;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   */
  constructor(session, t) {
    this.#session = session;
    this.#t = t;
    this.title = h("h2", { id: "account-title", dir: "auto" });
    this.entry = h("input", { id: "own-name", maxLength: 64, autocomplete: "nickname", dir: "auto", "aria-describedby": "own-name-hint" });
    this.refusal = h("p", { class: "hint", role: "alert" });
    this.archive = h("p", { class: "note" });
    this.consequence = h("p", { class: "note" }, t("signOutHint"));
    this.cancel = h("button", { type: "button", onclick: () => this.element.close() }, t("cancel"));
    const named = !session.needsToken;
    this.limit = h("input", { id: "limit", type: "number", min: "0", max: "100", step: "1", inputMode: "numeric", "aria-describedby": "limit-hint" });
    this.limits = h("div", {}, h("label", {}, h("span", {}, t("limit")), this.limit), h("p", { class: "note", id: "limit-hint" }, t("limitHint")));
    this.element = h("dialog", { class: "account", "aria-labelledby": "account-title" }, this.title,
      h("form", { onsubmit: (event) => this.#submitted(event) },
        ...(named ? [h("label", {}, h("span", {}, t("yourName")), this.entry), this.refusal, h("p", { class: "note", id: "own-name-hint" }, t("renameHint"))] : []),
        this.limits, this.archive, this.consequence,
        h("div", { class: "choice" },
          h("button", { type: "button", class: "out", onclick: () => this.#signOut() }, t("signOut")),
          this.cancel,
          h("button", { class: "primary" }, t("save")))));
  }

  open() {
    write(this.title, this.#session.name);
    this.entry.value = this.#session.name;
    write(this.refusal, "");
    this.limits.hidden = !this.#session.lobby.colleagues;
    this.limit.value = String(this.#session.lobby.status.capacity);
    this.archive.hidden = this.#session.archive.access !== "closed";
    write(this.archive, this.archive.hidden ? "" : this.#t(whyNot(this.#session)));
    this.consequence.hidden = this.#session.desk.entries.size === 0;
    this.element.showModal();
    if (this.#session.needsToken) this.cancel.focus();
    else this.entry.select();
  }

  #submitted(event) {
    event.preventDefault();
    const capacity = Math.min(100, Math.max(0, Math.trunc(Number(this.limit.value) || 0)));
    if (!this.limits.hidden && capacity !== this.#session.lobby.status.capacity) this.#session.setStatus({ capacity });
    if (this.#session.needsToken || this.#session.rename(this.entry.value)) return this.element.close();
    write(this.refusal, this.#t("bad_username"));
    this.entry.select();
  }

  #signOut() {
    this.element.close();
    this.#session.signOut();
  }
}
