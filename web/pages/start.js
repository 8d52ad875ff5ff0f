import { h, write } from "./dom.js";
import { MessageField } from "./field.js";
import { characters, visible } from "./text.js";

/** The most characters that a name may have. */
const MAX_NAME = 64;

/** What a visitor fills in to begin a chat. It is kept until the chat has begun, over reloads and links. */
export class StartForm {
  #t;
  #tab;
  #needsName;
  #onstart;
  #busy = false;

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {import("./storage.js").Store} tab keeps what is half written
   * @param {{get: () => string|null, set: (text: string|null) => void}} draft that of the message
   * @param {{greeting: string, name: string, needsName: boolean}} options needsName: nobody has told it
   * @param {(name: string, text: string) => Promise<string>} onstart begins a chat; returns what is to be mended, or ""
   */
  constructor(t, tab, draft, { greeting, name, needsName }, onstart) {
    this.#t = t;
    this.#tab = tab;
    this.#needsName = needsName;
    this.#onstart = onstart;
    this.name = h("input", {
      id: "name", required: needsName, placeholder: " ", /* see chat.css */ autocomplete: "nickname", dir: "auto", "aria-describedby": "problem",
      value: (needsName && tab.get("name")) || name, oninput: () => tab.set("name", this.name.value || null),
    });
    this.field = new MessageField(t, { id: "first", enterSends: false, grows: false, submit: () => this.#submit() }, draft,
      { rows: 3, required: true, placeholder: " ", "aria-describedby": "first-hint problem" });
    this.problem = h("p", { class: "hint", role: "alert", id: "problem" });
    this.begin = h("button", { class: "primary" }, t("startChat"));
    this.element = h("form", { class: "start", noValidate: true, onsubmit: (event) => this.#submitted(event) },
      h("p", { class: "greeting", dir: "auto" }, greeting),
      h("label", { hidden: !needsName }, h("span", {}, t("yourName")), this.name),
      h("label", { class: "fills" }, h("span", {}, t("firstMessage")), this.field.text),
      this.field.hint, this.field.alarm, this.problem, this.begin);
    this.field.restore();
  }

  /** Takes back what was half written. @param {string} name */
  reopen(name) {
    if (this.#needsName) this.name.value = name;
    this.field.restore();
    write(this.problem, "");
  }

  focus() {
    (this.#needsName && !this.name.value ? this.name : this.field.text).focus();
  }

  #submitted(event) {
    event.preventDefault();
    this.#submit();
  }

  async #submit() {
    if (this.#busy || !this.#complete()) return;
    const t = this.#t;
    this.#wait(true);
    const problem = await this.#onstart(this.name.value, this.field.value);
    this.#wait(false);
    write(this.problem, problem);
    if (problem) return;
    this.#tab.set("name", null);
    this.field.value = "";
  }

  #wait(busy) {
    this.#busy = this.name.readOnly = this.field.text.readOnly = busy;
    this.begin.setAttribute("aria-disabled", String(busy)); // disabled, it would lose the focus
    write(this.begin, this.#t(busy ? "starting" : "startChat"));
    if (busy) write(this.problem, "");
  }

  /** Says what is missing, and goes there. */
  #complete() {
    const t = this.#t;
    const count = characters(this.name.value.trim().replace(/\s+/g, " "));
    const named = this.#check(this.name, !this.#needsName ? "" : !visible(this.name.value) ? t("nameNeeded") : count > MAX_NAME ? t("nameTooLong", { count, most: MAX_NAME }) : "");
    return named && this.#check(this.field.text, !visible(this.field.value) ? t("messageNeeded") : "") && !this.field.tooLong();
  }

  #check(field, problem) {
    field.setAttribute("aria-invalid", String(problem !== ""));
    write(this.problem, problem);
    if (problem) field.focus();
    return problem === "";
  }
}
