import { h, write } from "./dom.js";
import { cut } from "./text.js";

/** A slash and the beginning of a shortcut, at the start of the text or after a space. */
const STROKE = /(?:^|\s)\/([^\s/]*)$/;
/** The maximum number of replies in the list. */
const MOST = 8;

/** The canned replies for a slash in the message field. The arrow keys choose, Enter and Tab insert, Escape closes. */
export class QuickReplies {
  #t;
  #text;
  #replies;
  #fill;
  #found = [];
  #at = 0;
  #declined = -1; // the position of a slash for which the agent has closed the list

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {HTMLFormElement} form the message field's
   * @param {HTMLTextAreaElement} text
   * @param {() => {shortcut: string, text: string}[]} replies
   * @param {(text: string, from: number) => void} fill replaces the text from there to the cursor
   */
  constructor(t, form, text, replies, fill) {
    this.#t = t;
    this.#text = text;
    this.#replies = replies;
    this.#fill = fill;
    this.items = h("ul", { class: "quick", role: "listbox", id: "quick", "aria-label": t("replies"), hidden: true });
    this.live = h("p", { class: "unseen", role: "status" });
    form.prepend(this.items, this.live);
    text.setAttribute("aria-autocomplete", "list");
    text.addEventListener("input", () => this.#look());
    text.addEventListener("click", () => this.#look());
    text.addEventListener("blur", () => this.#close());
    form.addEventListener("submit", () => { this.#declined = -1; });
    form.addEventListener("keydown", (event) => this.#pressed(event), { capture: true }); // before the field handles Enter
  }

  #look() {
    const { value, selectionStart, selectionEnd } = this.#text;
    const stroke = selectionStart === selectionEnd && STROKE.exec(value.slice(0, selectionStart));
    const from = stroke ? selectionStart - stroke[1].length - 1 : -1;
    if (from < 0 || from === this.#declined) {
      if (from < 0) this.#declined = -1;
      return this.#close();
    }
    const wanted = stroke[1].toLowerCase();
    const all = this.#replies();
    const named = all.filter(({ shortcut }) => shortcut.toLowerCase().startsWith(wanted));
    const other = wanted ? all.filter((one) => !named.includes(one) && one.text.toLowerCase().includes(wanted)) : [];
    this.#found = [...named, ...other].slice(0, MOST);
    this.#at = 0;
    if (this.#found.length === 0) return this.#close();
    this.items.replaceChildren(...this.#found.map(({ shortcut, text }, i) =>
      h("li", { role: "option", id: `quick-${i}`, onmousedown: (event) => {
        event.preventDefault(); // keeps the focus in the field
        this.#take(i);
      } }, shortcut ? h("b", { dir: "ltr" }, `/${shortcut}`) : "", shortcut ? " " : "", h("span", { dir: "auto" }, cut(text, 120)))));
    this.items.hidden = false;
    this.#text.setAttribute("aria-controls", "quick");
    write(this.live, this.#t("repliesFound", { count: this.#found.length }));
    this.#mark();
  }

  #mark() {
    for (const [i, item] of [...this.items.children].entries()) {
      item.setAttribute("aria-selected", String(i === this.#at));
      if (i === this.#at) item.scrollIntoView({ block: "nearest" });
    }
    this.#text.setAttribute("aria-activedescendant", `quick-${this.#at}`);
  }

  #close() {
    if (this.items.hidden) return;
    this.items.hidden = true;
    this.items.replaceChildren();
    this.#found = [];
    write(this.live, "");
    for (const name of ["aria-controls", "aria-activedescendant"]) this.#text.removeAttribute(name);
  }

  #take(at) {
    const { text } = this.#found[at];
    const { value, selectionStart } = this.#text;
    const [, wanted] = STROKE.exec(value.slice(0, selectionStart));
    this.#close();
    this.#fill(text, selectionStart - wanted.length - 1);
  }

  #pressed(event) {
    const { key, isComposing, keyCode, altKey, ctrlKey, metaKey, shiftKey } = event;
    if (key === "Enter" && this.items.hidden) this.#declined = -1; // the text is being sent
    if (this.items.hidden || isComposing || keyCode === 229 || altKey || ctrlKey || metaKey || shiftKey) return;
    const by = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (by) {
      this.#at = (this.#at + by + this.#found.length) % this.#found.length;
      this.#mark();
    } else if (key === "Enter" || key === "Tab") {
      this.#take(this.#at);
    } else if (key === "Escape") {
      const { value, selectionStart } = this.#text;
      this.#declined = value.slice(0, selectionStart).lastIndexOf("/");
      this.#close();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
