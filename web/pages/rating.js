import { MAX_COMMENT } from "./client.js";
import { h, icon, write } from "./dom.js";
import { MessageField } from "./field.js";

const SCORES = [1, 2, 3, 4, 5];

/** The form for a rating of an ended chat: five stars and a comment. */
export class RatingForm {
  #t;
  #rate;
  #chat = null;
  #busy = false;

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {(score: number, comment: string) => Promise<string>} rate returns the problem, or ""
   */
  constructor(t, rate) {
    this.#t = t;
    this.#rate = rate;
    this.stars = SCORES.map((value) => h("input", {
      type: "radio", name: "score", value: String(value), "aria-label": t("stars", { count: value }), onchange: () => this.#chosen(),
    }));
    this.field = new MessageField(t, { id: "comment", enterSends: false, grows: true, most: MAX_COMMENT, submit: () => this.#submit() },
      { get: () => null, set: () => {} },
      { rows: 2, placeholder: " ", "aria-describedby": "comment-hint" });
    this.problem = h("p", { class: "hint", role: "alert" });
    this.button = h("button", { class: "primary" }, t("rateSend"));
    this.more = h("div", { class: "more" },
      h("label", {}, h("span", {}, t("rateComment")), this.field.text), this.field.hint, this.field.alarm, this.problem, this.button);
    this.form = h("form", { onsubmit: (event) => this.#submitted(event) },
      h("fieldset", { class: "stars" }, h("legend", {}, t("rateAsk")),
        ...this.stars.map((star) => h("label", { class: "star", title: star.getAttribute("aria-label") }, star, icon("star")))),
      this.more);
    this.result = h("p", { role: "status" });
    this.element = h("div", { class: "rating", tabIndex: -1, role: "group", "aria-label": t("rateAsk") }, this.form, this.result);
  }

  /** @param {import("./client.js").Chat|null} chat */
  show(chat) {
    if (chat !== this.#chat) this.#begin(chat);
    const over = Boolean(chat?.ended?.from) && hadAgent(chat);
    const started = this.#score > 0;
    const words = chat?.rating ? "rateThanks" : over && chat.gone && started ? "rateLate" : "";
    this.form.hidden = !over || chat.gone || Boolean(chat.rating);
    write(this.result, over && words ? this.#t(words) : "");
    this.element.hidden = this.form.hidden && !this.result.textContent;
  }

  /** Whether the form can be filled in. */
  get asks() {
    return !this.element.hidden && !this.form.hidden;
  }

  /** Clears the form, so that nothing of an earlier chat stays. */
  #begin(chat) {
    this.#chat = chat;
    for (const star of this.stars) star.checked = false;
    this.field.value = "";
    write(this.problem, "");
    this.#chosen();
  }

  get #score() {
    return Number(this.stars.find(({ checked }) => checked)?.value ?? 0);
  }

  #chosen() {
    const score = this.#score;
    for (const star of this.stars) star.parentElement.classList.toggle("on", Number(star.value) <= score);
    this.more.hidden = score === 0;
  }

  #submitted(event) {
    event.preventDefault();
    this.#submit();
  }

  async #submit() {
    if (this.#busy || this.#score === 0 || this.field.tooLong()) return;
    const chat = this.#chat;
    this.#wait(true);
    const problem = await this.#rate(this.#score, this.field.value.trim());
    this.#wait(false);
    if (chat === this.#chat) write(this.problem, problem);
  }

  #wait(busy) {
    this.#busy = this.field.text.readOnly = busy;
    this.button.setAttribute("aria-disabled", String(busy));
    write(this.button, this.#t(busy ? "rateSending" : "rateSend"));
    if (busy) write(this.problem, "");
  }
}

function hadAgent({ participant, messages }) {
  return Boolean(participant.supportId || participant.left) || messages.some(({ from }) => from === "Support");
}
