import { h, write } from "./dom.js";

/** A question before something that cannot be undone. */
export class Confirm {
  /** @param {string} no @param {string} yes what the two buttons say */
  constructor(no, yes) {
    this.text = h("p", { id: "leave-text" });
    this.element = h("dialog", { role: "alertdialog", "aria-labelledby": "leave-text" }, this.text,
      h("form", { method: "dialog", class: "choice" },
        h("button", { value: "keep" }, no),
        h("button", { class: "primary", value: "leave" }, yes)));
  }

  /** @param {string} question @returns {Promise<boolean>} */
  async ask(question) {
    write(this.text, question);
    this.element.returnValue = "";
    this.element.showModal();
    await new Promise((resolve) => this.element.addEventListener("close", resolve, { once: true }));
    return this.element.returnValue === "leave";
  }
}
