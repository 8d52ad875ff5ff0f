import { h, write } from "./dom.js";

/** The button that ends a chat, and its confirmation. */
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
      event.stopPropagation(); // keeps the panel open
      this.#ask(false);
    });
  }

  get asks() {
    return !this.question.hidden;
  }

  /** Shows the button if the chat can be ended. Withdraws the question about another chat. */
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
    this.no.focus(); // so that pressing a key twice does not end the chat
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
    for (const button of [this.yes, this.no]) button.setAttribute("aria-disabled", String(busy)); // a disabled button would lose the focus
    write(this.yes, this.#t(busy ? "endingChat" : "endChat"));
  }
}
