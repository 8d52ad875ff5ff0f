import { h, write } from "./dom.js";

/** A question before something that cannot be undone. Enter chooses the last answer, Escape none. */
export class Confirm {
  /**
   * @param {string} no what the button says that chooses none
   * @param {Record<string, string>} answers what the others say, by the answer
   */
  constructor(no, answers) {
    this.question = h("h2", { id: "confirm-question" });
    this.note = h("p", { id: "confirm-note" });
    const buttons = Object.entries(answers).map(([value, text]) => h("button", { value }, text));
    const last = buttons.at(-1);
    last.className = "primary";
    last.autofocus = true;
    this.element = h("dialog", { role: "alertdialog", "aria-labelledby": "confirm-question", "aria-describedby": "confirm-note" },
      this.question, this.note, h("form", { method: "dialog", class: "choice" }, h("button", { value: "" }, no), ...buttons));
  }

  /** @param {string} question @param {string} note @returns {Promise<string>} the answer, or "" */
  async ask(question, note) {
    write(this.question, question);
    write(this.note, note);
    this.element.returnValue = "";
    this.element.showModal();
    await new Promise((resolve) => this.element.addEventListener("close", resolve, { once: true }));
    for (const part of [this.question, this.note]) write(part, ""); // no name stays in the page
    return this.element.returnValue;
  }
}
