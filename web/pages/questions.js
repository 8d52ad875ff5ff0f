import { inLanguage } from "./away.js";
import { h, write } from "./dom.js";
import { stringify } from "./native.js";
import { characters, visible } from "./text.js";

/** The maximum number of characters in an answer. */
const MAX_ANSWER = 1_000;
/** The maximum number of answers in a registration. */
const MAX_ANSWERS = 20;
/** The name of the consent among the answers that agents see. */
const CONSENT = "consent";

/** The site's questions before a chat, and the text that a visitor must agree to. It stores the answers. */
export class Questions {
  #t;
  #language;
  #tab;
  #form = [];
  #consent = null;
  #shown = "";
  #rows = [];

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {string} language the visitor's
   * @param {import("./storage.js").Store} tab stores the answers
   */
  constructor(t, language, tab) {
    this.#t = t;
    this.#language = language;
    this.#tab = tab;
    this.element = h("div", { class: "questions", hidden: true });
    this.agreement = h("div", { class: "agreement", hidden: true });
  }

  /** @param {object} status the server's status, with its form and consent */
  show({ form = [], consent = null }) {
    const now = stringify([form, consent]);
    if (now === this.#shown) return;
    this.#shown = now;
    this.#form = form;
    this.#consent = consent;
    const kept = this.#tab.get("answers") ?? {};
    this.#rows = form.map((question, i) => this.#row(question, `question-${i}`, kept[question.id] ?? ""));
    this.element.hidden = form.length === 0;
    this.element.replaceChildren(...this.#rows.map(({ element }) => element));
    this.agreement.hidden = !consent;
    this.agree = consent && this.#agreement(consent);
    this.agreement.replaceChildren(...(this.agree ? [this.agree.element] : []));
  }

  #row(question, id, answer) {
    const { kind = "text", required = false, options = [] } = question;
    const words = inLanguage(question.label, this.#language) || question.id;
    const common = { id, required, "aria-describedby": `${id}-problem`, oninput: () => this.#keep() };
    const problem = h("p", { class: "hint", id: `${id}-problem` });
    if (kind === "checkbox") {
      const field = h("input", { ...common, type: "checkbox", checked: answer === "true" });
      return { question, kind, field, problem, element: h("div", {}, h("label", { class: "check" }, field, this.#label(words, required)), problem) };
    }
    const field = kind === "select"
      ? h("select", common, h("option", { value: "" }, ""), ...options.map((one) => h("option", { value: one }, one)))
      : h("input", { ...common, type: kind === "email" ? "email" : "text", autocomplete: kind === "email" ? "email" : "off", placeholder: " ", dir: kind === "email" ? "ltr" : "auto" });
    field.value = answer;
    return { question, kind, field, problem, element: h("div", {}, h("label", {}, this.#label(words, required), field), problem) };
  }

  #label(words, required) {
    return h("span", { dir: "auto" }, required ? words : this.#t("optional", { label: words }));
  }

  #agreement({ text, link }) {
    const problem = h("p", { class: "hint", id: "consent-problem" });
    const field = h("input", { id: "consent", type: "checkbox", required: true, "aria-describedby": "consent-problem", oninput: () => this.#settle(this.agree, "") });
    const words = h("span", { dir: "auto" }, inLanguage(text, this.#language));
    const more = link ? [h("p", {}, h("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, this.#t("consentMore")))] : [];
    return { field, problem, element: h("div", {}, h("label", { class: "check" }, field, words), ...more, problem) };
  }

  #keep() {
    for (const row of this.#rows) if (row.problem.textContent) this.#settle(row, this.#wrong(row));
    const answers = this.#given();
    this.#tab.set("answers", Object.keys(answers).length ? answers : null);
  }

  #given() {
    return Object.fromEntries(this.#rows.map(({ question, kind, field }) =>
      [question.id, kind === "checkbox" ? (field.checked ? "true" : "") : field.value]).filter(([, answer]) => answer));
  }

  /** The answers, for a registration. */
  get fields() {
    const fields = this.#given();
    if (this.agreed && !(CONSENT in fields) && Object.keys(fields).length < MAX_ANSWERS) fields[CONSENT] = "true";
    return fields;
  }

  /** Whether the visitor has agreed; undefined if there is nothing to agree to. */
  get agreed() {
    return this.agree?.field.checked || undefined;
  }

  /** Shows which answers are missing. @returns {Element|null} the first field to correct */
  check() {
    for (const row of this.#rows) this.#settle(row, this.#wrong(row));
    return this.#rows.find(({ problem }) => problem.textContent)?.field ?? null;
  }

  /** The same for the consent alone. */
  checkAgreement() {
    if (!this.agree || this.agreed) return null;
    this.#settle(this.agree, this.#t("consentNeeded"));
    return this.agree.field;
  }

  /**
   * The server has refused an answer.
   * @param {string} message names the field
   * @returns {Element|null} null if it is about no field
   */
  refused(message) {
    const row = this.#rows.find(({ question }) => message.includes(`"details.fields.${question.id}"`));
    if (!row) return message.includes(`"${CONSENT}"`) ? this.checkAgreement() : null;
    this.#settle(row, this.#wrong(row) || this.#t("answerWrong"));
    return row.field;
  }

  #wrong({ question: { required }, kind, field }) {
    const t = this.#t;
    if (kind === "checkbox") return required && !field.checked ? t("checkNeeded") : "";
    if (!visible(field.value)) return required ? t(kind === "select" ? "choiceNeeded" : "answerNeeded") : "";
    if (kind === "email" && !isEmail(field.value)) return t("emailWrong");
    const count = characters(field.value);
    return count > MAX_ANSWER ? t("answerTooLong", { count, most: MAX_ANSWER }) : "";
  }

  #settle({ field, problem }, words) {
    field.setAttribute("aria-invalid", String(words !== ""));
    write(problem, words);
  }

  wait(busy) {
    for (const { field } of [...this.#rows, ...(this.agree ? [this.agree] : [])]) {
      if (field.type === "checkbox" || field.tagName === "SELECT") field.setAttribute("aria-disabled", String(busy));
      else field.readOnly = busy;
    }
  }

  /** Forgets the answers, which were sent. */
  forget() {
    this.#tab.set("answers", null);
    this.#shown = "";
    this.show({ form: this.#form, consent: this.#consent });
  }
}

/** Returns whether a text looks like an email address. The server has the same rule. */
export function isEmail(text) {
  return /^[^\s<>,;]+@[^\s<>,;@]+$/.test(text.trim());
}
