import { h, write } from "./dom.js";
import { MessageField } from "./field.js";
import { isEmail, Questions } from "./questions.js";
import { characters, visible } from "./text.js";

/** The maximum number of characters in a name and in an email address. */
const MAX_NAME = 64;
const MAX_EMAIL = 320;

/**
 * The form with which a visitor starts a chat or, while no agent is available, leaves a message. It stores
 * the input until it was sent, over reloads and for both purposes.
 */
export class StartForm {
  #t;
  #tab;
  #needsName;
  #greeting;
  #on;
  #busy = false;
  #plan = null;
  #chosen = ""; // chat or leave, by the visitor

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {import("./storage.js").Store} tab keeps what is half written
   * @param {{get: () => string|null, set: (text: string|null) => void}} draft that of the message
   * @param {{greeting: string, name: string, needsName: boolean, language: string}} options needsName:
   *        nobody has told it; language: the visitor's
   * @param {{start: (filled: Filled) => Promise<Problem>, leave: (filled: Filled) => Promise<Problem>}} on
   *        what is done with it
   * @typedef {{name: string, email: string, text: string, fields: Record<string, string>, consent?: true}} Filled
   * @typedef {{words: string, message?: string}} Problem words: what to correct, or "";
   *          message: the server's own
   */
  constructor(t, tab, draft, { greeting, name, needsName, language }, on) {
    this.#t = t;
    this.#tab = tab;
    this.#needsName = needsName;
    this.#greeting = greeting;
    this.#on = on;
    this.name = h("input", {
      id: "name", required: needsName, placeholder: " ", /* see chat.css */ autocomplete: "nickname", dir: "auto", "aria-describedby": "name-problem",
      value: (needsName && tab.get("name")) || name, oninput: () => this.#typed("name", this.name, this.nameProblem),
    });
    this.nameProblem = h("p", { class: "hint", id: "name-problem" });
    this.email = h("input", {
      id: "email", type: "email", placeholder: " ", autocomplete: "email", dir: "ltr", "aria-describedby": "email-about email-problem",
      value: tab.get("email") ?? "", oninput: () => this.#typed("email", this.email, this.emailProblem),
    });
    this.emailProblem = h("p", { class: "hint", id: "email-problem" });
    this.reach = h("div", { hidden: true }, h("label", {}, h("span", {}, t("yourEmail")), this.email),
      h("p", { class: "note", id: "email-about" }, t("emailAbout")), this.emailProblem);
    this.questions = new Questions(t, language, tab);
    this.field = new MessageField(t, { id: "first", enterSends: false, grows: false, submit: () => this.#submit() }, draft,
      { rows: 3, required: true, placeholder: " ", "aria-describedby": "first-hint first-problem" });
    this.textProblem = h("p", { class: "hint", id: "first-problem" });
    this.field.text.addEventListener("input", () => this.textProblem.textContent && this.#settle(this.field.text, this.textProblem, ""));
    this.problem = h("p", { class: "hint", role: "alert", id: "problem" });
    this.begin = h("button", { class: "primary" }, t("startChat"));
    this.other = h("button", { type: "button", class: "other", hidden: true, onclick: () => this.#choose() });
    this.words = h("p", { class: "greeting", dir: "auto", role: "status" }, greeting);
    this.fields = h("div", { class: "fields" },
      h("div", { hidden: !needsName }, h("label", {}, h("span", {}, t("yourName")), this.name), this.nameProblem), this.reach,
      this.questions.element,
      h("div", { class: "fills" }, h("label", {}, h("span", {}, t("firstMessage")), this.field.text), this.field.hint, this.textProblem),
      this.field.alarm, this.questions.agreement, this.problem, this.begin);
    this.again = h("button", { type: "button", onclick: () => this.#more() }, t("leaveMore"));
    this.thanks = h("div", { class: "thanks", role: "group", tabIndex: -1, hidden: true, "aria-labelledby": "thanks" }, h("p", { id: "thanks", dir: "auto" }), this.again);
    this.element = h("form", { class: "start", noValidate: true, onsubmit: (event) => this.#submitted(event) },
      this.words, this.fields, this.other, this.thanks);
    this.field.restore();
  }

  /**
   * @param {import("./away.js").Plan} plan what can be done now
   * @param {object|null} status what the server says
   */
  show(plan, status) {
    this.#plan = plan;
    if (status) this.questions.show(status);
    this.#render();
  }

  /** The present purpose of the form. @returns {"chat"|"leave"|""} */
  get #does() {
    const { waits = true, leaves = false, leavesFirst = false } = this.#plan ?? {};
    if (this.#chosen && (this.#chosen === "chat" ? waits : leaves)) return this.#chosen;
    return leavesFirst || !waits ? (leaves ? "leave" : "") : "chat";
  }

  #render() {
    const t = this.#t;
    const does = this.#does;
    const { waits = true, leaves = false, words = "" } = this.#plan ?? {};
    const left = !this.thanks.hidden;
    this.element.dataset.does = does;
    this.words.hidden = left;
    // The fields must not move while a visitor is filling them in.
    if (this.words.offsetHeight) this.words.style.minBlockSize = `${this.words.offsetHeight}px`;
    write(this.words, words || this.#greeting);
    this.fields.hidden = left || does === "";
    this.reach.hidden = does !== "leave";
    this.questions.element.hidden = does !== "chat" || !this.questions.element.firstChild;
    this.other.hidden = left || !(waits && leaves);
    write(this.other, t(does === "leave" ? "waitInstead" : "leaveInstead"));
    write(this.begin, t(does === "leave" ? (this.#busy ? "leaving" : "leaveMessage") : this.#busy ? "starting" : "startChat"));
  }

  /** Switches between waiting and leaving a message. */
  #choose() {
    if (this.#busy) return;
    this.#chosen = this.#does === "leave" ? "chat" : "leave";
    write(this.problem, "");
    this.#render();
    this.focus();
  }

  /** Restores the draft. @param {string} name */
  reopen(name) {
    if (this.#needsName) this.name.value = name;
    this.field.restore();
    write(this.problem, "");
  }

  focus() {
    if (!this.thanks.hidden) return this.thanks.focus();
    if (this.#does === "") return this.#focusWords();
    const empty = [this.#needsName && this.name, this.#does === "leave" && this.email].find((one) => one && !one.value);
    (empty || this.field.text).focus();
  }

  #focusWords() {
    this.words.tabIndex = -1;
    this.words.focus();
  }

  #typed(name, { value }, problem) {
    this.#tab.set(name, value || null);
    if (problem.textContent) this.#settle(this[name], problem, "");
  }

  #submitted(event) {
    event.preventDefault();
    this.#submit();
  }

  async #submit() {
    const does = this.#does;
    if (this.#busy || does === "" || !this.#complete(does)) return;
    this.#wait(true);
    const { fields, agreed } = this.questions;
    const filled = { name: this.name.value, email: this.email.value.trim(), text: this.field.value, fields: does === "chat" ? fields : {}, consent: agreed };
    const { words, message = "" } = await this.#on[does === "chat" ? "start" : "leave"](filled);
    this.#wait(false);
    if (words) return this.#refused(words, message);
    this.field.value = "";
    if (does === "chat") {
      this.#tab.set("name", null);
      this.questions.forget();
    } else {
      this.#left(filled);
    }
  }

  #refused(words, message) {
    const field = this.#does === "chat" && this.questions.refused(message);
    if (field) field.focus();
    else write(this.problem, words);
  }

  #left({ email }) {
    write(this.thanks.firstChild, email ? this.#t("leftEmail", { email }) : this.#t("left"));
    this.thanks.hidden = false;
    this.#render();
    this.thanks.focus();
  }

  #more() {
    this.thanks.hidden = true;
    this.#render();
    this.focus();
  }

  #wait(busy) {
    this.#busy = this.name.readOnly = this.email.readOnly = this.field.text.readOnly = busy;
    this.questions.wait(busy);
    this.begin.setAttribute("aria-disabled", String(busy)); // a disabled button would lose the focus
    if (busy) write(this.problem, "");
    this.#render();
  }

  /** Shows at each field what is missing, and moves the focus to the first one. */
  #complete(does) {
    const t = this.#t;
    const leaves = does === "leave";
    const named = visible(this.name.value);
    const email = this.email.value.trim();
    const count = characters(this.name.value.trim().replace(/\s+/g, " "));
    const noName = !named && (!leaves || !email) ? t(leaves ? "nameOrEmail" : "nameNeeded") : "";
    const wrong = [
      this.#settle(this.name, this.nameProblem, !this.#needsName ? "" : noName || (count > MAX_NAME ? t("nameTooLong", { count, most: MAX_NAME }) : "")),
      this.#settle(this.email, this.emailProblem, leaves && email && (!isEmail(email) || characters(email) > MAX_EMAIL) ? t("emailWrong") : ""),
      leaves ? null : this.questions.check(),
      this.#settle(this.field.text, this.textProblem, !visible(this.field.value) ? t("messageNeeded") : ""),
      this.textProblem.textContent || !this.field.tooLong() ? null : this.field.text,
      this.questions.checkAgreement(),
    ].find(Boolean);
    wrong?.focus();
    return !wrong;
  }

  /** @returns {Element|null} the field, if it must be corrected */
  #settle(field, problem, words) {
    field.setAttribute("aria-invalid", String(words !== ""));
    write(problem, words);
    return words ? field : null;
  }
}
