import { MAX_CONTENT } from "./client.js";
import { h, write } from "./dom.js";
import { characters, visible } from "./text.js";

/** Whether Enter starts a new line: a touch keyboard has no Shift to hold. */
const touch = matchMedia("(pointer: coarse)");

/** The field for a message. It stores the draft, and never cuts it. */
export class MessageField {
  #t;
  #props;
  #draft;
  #width = 0;

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {{id: string, enterSends: boolean, grows: boolean, most?: number, submit: () => void}} props
   *        enterSends: whether Enter alone sends, on a hardware keyboard; grows: with
   *        its text; most: the maximum number of characters
   * @param {{get: () => string|null, set: (text: string|null) => void}} draft
   * @param {object} attributes of the textarea
   */
  constructor(t, props, draft, attributes) {
    this.#t = t;
    this.#props = props;
    this.#draft = draft;
    this.text = h("textarea", { dir: "auto", id: props.id, ...attributes });
    this.hint = h("p", { class: "hint", id: `${props.id}-hint` });
    this.alarm = h("div", { class: "unseen", role: "alert" }); // the hint changes with each key, but is read out only once
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
    this.text.addEventListener("focus", explain); // a keyboard may have been connected or removed
    explain();
  }

  /** Ctrl+Enter always sends. The key code 229 is an Enter that ends a composition; in Safari isComposing is already false. */
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

  /** Restores the draft. */
  restore() {
    this.text.value = this.#draft.get() ?? "";
    this.#measured();
  }

  /** Replaces a part of the text. @param {string} text @param {number} from @param {number} to */
  replace(text, from, to) {
    this.text.setRangeText(text, from, to, "end");
    this.changed();
    this.text.focus();
  }

  /** The text has changed. */
  changed() {
    this.#draft.set(null); // if the storage is too full for the new draft, keep none rather than an old one
    if (this.value) this.#draft.set(this.value);
    this.#measured();
  }

  #measured() {
    this.#grow();
    this.tooLong();
  }

  /** Tells if the text is too long. */
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

  /** Returns whether the text can be sent. */
  sendable() {
    return visible(this.value) && !this.tooLong();
  }

  #grow() {
    const { text } = this;
    if (!this.#props.grows) return;
    this.#width = text.clientWidth;
    if (!this.#width) return; // hidden elements cannot be measured
    text.style.overflowY = "hidden";
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`;
    if (text.scrollHeight > text.clientHeight + 1) text.style.overflowY = "auto";
  }
}
