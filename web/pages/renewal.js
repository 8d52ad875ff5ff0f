import { h, write } from "./dom.js";
import { tokenField } from "./signin.js";

/**
 * Asks for a new token before the old one runs out, and when it has. It stands above the
 * conversations, which stay as they are, and takes the focus from nothing.
 */
export class Renewal {
  #session;
  #t;
  #clock;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {() => void} done goes back to the work
   */
  constructor(session, t, lang, done) {
    this.#session = session;
    this.#t = t;
    this.done = done;
    this.#clock = new Intl.DateTimeFormat(lang, { hour: "numeric", minute: "2-digit" });
    this.text = h("p", { role: "alert" });
    this.entry = tokenField();
    this.entry.setAttribute("aria-label", t("tokenNew"));
    this.entry.placeholder = t("tokenNew");
    this.refusal = h("p", { class: "hint", role: "alert" });
    this.later = h("button", { type: "button", class: "quiet", onclick: () => {
      session.later();
      done();
    } }, t("tokenLater"));
    this.form = h("form", { onsubmit: (event) => this.#submitted(event) },
      this.entry, h("button", { class: "primary" }, t("tokenUse")), this.later, this.refusal);
    this.element = h("section", { class: "renewal", "aria-label": t("tokenNew") }, this.text, this.form);
    this.element.hidden = true;
    this.form.remove(); // the page has one field for a token at most
  }

  update() {
    const { expiry, expires, refusal } = this.#session;
    this.element.hidden = !expiry;
    if (!expiry) {
      this.form.remove();
      this.entry.value = "";
      return write(this.text, "");
    }
    if (!this.form.isConnected) this.element.append(this.form);
    write(this.text, expiry === "over" ? this.#t("tokenOver") : this.#t("tokenSoon", { time: this.#clock.format(expires) }));
    write(this.refusal, refusal);
    this.later.hidden = expiry === "over";
  }

  async #submitted(event) {
    event.preventDefault();
    write(this.refusal, "");
    if (await this.#session.signIn(this.entry.value)) this.done();
    else this.entry.select();
  }
}
