import { h, write } from "./dom.js";

/** A dialog that asks before something that cannot be undone. Enter chooses the last answer, Escape none. */
export class Confirm {
  #settle = () => {};
  #no;

  /**
   * @param {string} no the label of the button that chooses none
   */
  constructor(no) {
    this.question = h("h2", { id: "confirm-question" });
    this.note = h("p", { id: "confirm-note" });
    this.#no = h("button", { value: "" }, no);
    this.form = h("form", { method: "dialog", class: "choice" });
    this.element = h("dialog", {
      role: "alertdialog", "aria-labelledby": "confirm-question", "aria-describedby": "confirm-note",
      onclose: () => this.#closed(),
      // Holding down the key that opened the dialog must not answer it.
      onkeydown: (event) => event.repeat && event.key === "Enter" && event.preventDefault(),
    }, this.question, this.note, this.form);
  }

  /**
   * @param {string} question
   * @param {string} note
   * @param {Record<string, string>} answers the labels of the buttons, by answer
   * @returns {Promise<string>} the answer, or ""
   */
  ask(question, note, answers) {
    this.#settle(""); // an earlier question is withdrawn, even if its close event has not come yet
    write(this.question, question);
    write(this.note, note);
    const buttons = Object.entries(answers).map(([value, text]) => h("button", { value }, text));
    const last = buttons.at(-1);
    last.className = "primary";
    last.autofocus = true;
    this.form.replaceChildren(this.#no, ...buttons);
    this.element.returnValue = "";
    this.element.showModal();
    return new Promise((resolve) => { this.#settle = resolve; });
  }

  #closed() {
    if (this.element.open) return; // the event comes late: the next question is already open
    this.#settle(this.element.returnValue);
    for (const part of [this.question, this.note]) write(part, ""); // no name stays in the page
  }
}
