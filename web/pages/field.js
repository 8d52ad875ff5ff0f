import { MAX_CONTENT } from "./client.js";
import { h, write } from "./dom.js";
import { characters, visible } from "./text.js";

/** On a touch keyboard Enter starts a new line: there is no Shift to hold. */
const touch = matchMedia("(pointer: coarse)");

/** The field in which a message is written. What is half written is kept, and nothing of it is ever cut. */
export class MessageField {
  #t;
  #props;
  #draft;
  #width = 0;

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {{id: string, enterSends: boolean, grows: boolean, most?: number, submit: () => void}} props
   *        enterSends: without Ctrl, where Enter is a key; grows: with its text; most: characters
   * @param {{get: () => string|null, set: (text: string|null) => void}} draft
   * @param {object} attributes of the textarea
   */
  constructor(t, props, draft, attributes) {
    this.#t = t;
    this.#props = props;
    this.#draft = draft;
    this.text = h("textarea", { dir: "auto", id: props.id, ...attributes });
    this.hint = h("p", { class: "hint", id: `${props.id}-hint` });
    this.alarm = h("div", { class: "unseen", role: "alert" }); // the hint changes with each key, and is read out once
    this.keys = h("p", { class: "note keys", id: `${props.id}-keys` });
    this.text.addEventListener("keydown", (event) => {
      if (!this.#sends(event)) return;
      event.preventDefault();
      props.submit();
    });
    this.text.addEventListener("input", () => this.changed());
    if (props.grows) new ResizeObserver(() => this.text.clientWidth !== this.#width && this.#grow()).observe(this.text);
    const explain = () => {
      this.text.enterKeyHint = props.enterSends && !touch.matches ? "send" : "enter";
      write(this.keys, t(touch.matches ? "keysTouch" : "keys"));
    };
    this.text.addEventListener("focus", explain); // a keyboard may have come or gone
    explain();
  }

  /** Ctrl and Enter send everywhere. 229 is the Enter that ends a composition, where isComposing is false by then (Safari). */
  #sends({ key, isComposing, keyCode, shiftKey, altKey, ctrlKey, metaKey }) {
    if (key !== "Enter" || isComposing || keyCode === 229 || altKey) return false;
    return ctrlKey || metaKey || (this.#props.enterSends && !touch.matches && !shiftKey);
  }

  get value() {
    return this.text.value;
  }

  set value(text) {
    this.text.value = text;
    this.changed();
  }

  /** Takes back what was half written. */
  restore() {
    this.text.value = this.#draft.get() ?? "";
    this.#measured();
  }

  /** Puts a text in the place of another one. @param {string} text @param {number} from @param {number} to */
  replace(text, from, to) {
    this.text.setRangeText(text, from, to, "end");
    this.changed();
    this.text.focus();
  }

  /** The text has changed. */
  changed() {
    this.#draft.set(null); // storage may be too full for the new one: then rather none than an old one
    if (this.value) this.#draft.set(this.value);
    this.#measured();
  }

  #measured() {
    this.#grow();
    this.tooLong();
  }

  /** Says so if the text is too long. */
  tooLong() {
    const { most = MAX_CONTENT } = this.#props;
    const count = this.value.length > most ? characters(this.value) : 0;
    const tooLong = count > most;
    write(this.hint, tooLong ? this.#t("tooLong", { count, most }) : "");
    if (!tooLong) write(this.alarm, "");
    else if (!this.alarm.textContent) write(this.alarm, this.hint.textContent);
    this.text.setAttribute("aria-invalid", String(tooLong));
    return tooLong;
  }

  /** Whether there is something that may be sent. */
  sendable() {
    return visible(this.value) && !this.tooLong();
  }

  #grow() {
    const { text } = this;
    if (!this.#props.grows) return;
    this.#width = text.clientWidth;
    if (!this.#width) return; // nothing can be measured while it is hidden
    text.style.overflowY = "hidden";
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`;
    if (text.scrollHeight > text.clientHeight + 1) text.style.overflowY = "auto";
  }
}
