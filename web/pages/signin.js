import { h, icon, write } from "./dom.js";

/** The page of who has not signed in: it asks for a name, or for a token where agents need one. */
export class SignIn {
  #session;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string) => string} t
   * @param {import("./notifications.js").Notifications} notifications are asked for on the way in
   */
  constructor(session, t, notifications) {
    this.#session = session;
    this.notifications = notifications;
    const { needsToken } = session;
    this.entry = needsToken
      ? h("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: false, dir: "ltr" })
      : h("input", { id: "name", required: true, maxLength: 64, autocomplete: "nickname", dir: "auto", value: session.name });
    this.refusal = h("p", { class: "notice", role: "alert" });
    this.element = h("main", { class: "door", hidden: true },
      h("form", { class: "sign-in", onsubmit: (event) => this.#submitted(event) },
        h("span", { class: "mark", "aria-hidden": "true" }, icon("chat")),
        h("h1", {}, t("console")),
        h("label", {}, h("span", {}, t(needsToken ? "signInToken" : "signIn")), this.entry), this.refusal,
        h("button", { class: "primary" }, t("startWork")),
        notifications.asks ? h("p", { class: "note" }, t("askNotify")) : ""));
  }

  update() {
    const { signedIn, refusal } = this.#session;
    const appears = this.element.hidden && !signedIn;
    this.element.hidden = signedIn;
    write(this.refusal, refusal);
    if (appears) this.entry.focus();
  }

  async #submitted(event) {
    event.preventDefault();
    const text = this.entry.value.trim();
    if (!text) return this.entry.focus();
    if (!await this.#session.signIn(text)) return this.entry.select();
    if (this.#session.needsToken) this.entry.value = "";
    this.notifications.askOnce();
  }
}
