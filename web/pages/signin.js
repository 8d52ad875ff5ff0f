import { h, icon, write } from "./dom.js";

/** The form to sign in. It asks for a name, or for a token if agents need one. */
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
      ? tokenField()
      : h("input", { id: "name", required: true, maxLength: 64, autocomplete: "nickname", dir: "auto" });
    this.refusal = h("p", { class: "notice", role: "alert" });
    this.element = h("main", { class: "door" },
      h("form", { class: "sign-in", onsubmit: (event) => this.#submitted(event) },
        h("span", { class: "mark", "aria-hidden": "true" }, icon("chat")),
        h("h1", {}, t("console")),
        h("label", {}, h("span", {}, t(needsToken ? "signInToken" : "signIn")), this.entry), this.refusal,
        h("button", { class: "primary" }, t("startWork")),
        notifications.asks ? h("p", { class: "note" }, t("askNotify")) : ""));
  }

  /** Adds the form to the page only while it is shown. */
  update() {
    const { signedIn, refusal, name, needsToken } = this.#session;
    write(this.refusal, refusal);
    if (signedIn) return this.element.remove();
    if (this.element.isConnected) return;
    document.body.prepend(this.element);
    this.entry.value = needsToken ? "" : name;
    this.entry.focus();
  }

  async #submitted(event) {
    event.preventDefault();
    if (!this.entry.value.trim()) return this.entry.focus();
    write(this.refusal, "");
    if (!await this.#session.signIn(this.entry.value)) return this.entry.select();
    this.notifications.askOnce();
  }
}

/** A field for an agent's token. Bystanders cannot read it, and password managers do not store it. */
export function tokenField() {
  return h("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: false, dir: "ltr" });
}
