import { h, write } from "./dom.js";

/** A question before something that cannot be undone. Enter chooses the last answer, Escape none. */
export class Confirm {
  #settle = () => {};
  #no;

  /**
   * @param {string} no what the button says that chooses none
   */
  constructor(no) {
    this.question = h("h2", { id: "confirm-question" });
    this.note = h("p", { id: "confirm-note" });
    this.#no = h("button", { value: "" }, no);
    this.form = h("form", { method: "dialog", class: "choice" });
    this.element = h("dialog", {
      role: "alertdialog", "aria-labelledby": "confirm-question", "aria-describedby": "confirm-note",
      onclose: () => this.#closed(),
      // A key that is held down for too long must not answer the question that it has asked.
      onkeydown: (event) => event.repeat && event.key === "Enter" && event.preventDefault(),
    }, this.question, this.note, this.form);
  }

  /**
   * @param {string} question
   * @param {string} note
   * @param {Record<string, string>} answers what the buttons say, by the answer
   * @returns {Promise<string>} the answer, or ""
   */
  ask(question, note, answers) {
    this.#settle(""); // the last question is gone, if its dialog has not said so yet
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
    if (this.element.open) return; // browsers tell late, and the next question has been asked
    this.#settle(this.element.returnValue);
    for (const part of [this.question, this.note]) write(part, ""); // no name stays in the page
  }
}
