import { h, label, write } from "./dom.js";

/** A notice for the agent. It disappears with the next action, or when the agent dismisses it. */
export class Notice {
  #session;

  /** @param {import("./session.js").Session} session @param {(key: string) => string} t */
  constructor(session, t) {
    this.#session = session;
    this.text = h("p", { role: "alert" });
    const dismiss = h("button", { type: "button", class: "tool", onclick: () => session.say("") });
    label(dismiss, "close", t("dismiss"));
    this.element = h("div", { class: "notice" }, this.text, dismiss);
    this.update();
  }

  update() {
    const { notice } = this.#session;
    write(this.text, notice);
    this.element.classList.toggle("none", !notice); // screen readers need the alert in the page before its text changes
  }
}
