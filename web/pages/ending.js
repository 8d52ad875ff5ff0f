import { h, write } from "./dom.js";

/** The button that ends a chat, and the question that it asks first. */
export class Ending {
  #t;
  #end;
  #busy = false;

  /**
   * @param {(key: string) => string} t
   * @param {() => Promise<void>} end ends the chat
   */
  constructor(t, end) {
    this.#t = t;
    this.#end = end;
    this.button = h("button", { type: "button", class: "link", "aria-expanded": "false", onclick: () => this.#ask(!this.asks) }, t("endChat"));
    this.no = h("button", { type: "button", onclick: () => this.#ask(false) }, t("keepChatting"));
    this.yes = h("button", { type: "button", class: "primary", onclick: () => this.#go() }, t("endChat"));
    this.question = h("div", { class: "question", role: "group", "aria-labelledby": "end-question", hidden: true },
      h("p", { id: "end-question" }, t("endAsk")), h("div", { class: "choice" }, this.no, this.yes));
    this.question.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation(); // the panel stays
      this.#ask(false);
    });
  }

  get asks() {
    return !this.question.hidden;
  }

  /** Whether there is a chat that can be ended. A question about another one is withdrawn. */
  offer(possible) {
    this.button.hidden = !possible;
    if (!possible) this.#close();
  }

  #ask(yes) {
    if (this.#busy) return;
    if (!yes) {
      this.#close();
      return this.button.focus();
    }
    this.question.hidden = false;
    this.button.setAttribute("aria-expanded", "true");
    this.no.focus(); // lest pressing a key twice ends it
  }

  #close() {
    this.question.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
  }

  async #go() {
    if (this.#busy) return;
    this.#wait(true);
    await this.#end();
    this.#wait(false);
  }

  #wait(busy) {
    this.#busy = busy;
    for (const button of [this.yes, this.no]) button.setAttribute("aria-disabled", String(busy)); // disabled, it would lose the focus
    write(this.yes, this.#t(busy ? "endingChat" : "endChat"));
  }
}
