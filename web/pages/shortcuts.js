import { h } from "./dom.js";

/** On Apple's devices the Alt key is Option, which types a character with every letter. */
const APPLE = /^(Mac|iP)/.test(navigator.platform);

/** The keyboard shortcuts of the console, Alt and a letter, and the dialog that lists them. */
export class Shortcuts {
  #keys;
  #ready;
  /** The letters of the keys without Alt, by position. They are learned as keys are pressed. */
  #plain = new Map();

  /**
   * @param {(key: string) => string} t
   * @param {Record<string, {words: string, act: () => void}>} keys by the letter
   * @param {() => boolean} ready whether the console takes keys now
   */
  constructor(t, keys, ready) {
    this.#keys = keys;
    this.#ready = ready;
    const named = (words, ...names) =>
      h("div", {}, h("dt", {}, ...names.flatMap((name) => [" + ", h("kbd", {}, name)]).slice(1)), h("dd", {}, t(words)));
    this.element = h("dialog", { "aria-labelledby": "help-title" },
      h("h2", { id: "help-title" }, t("help")),
      h("dl", {},
        ...Object.entries(keys).map(([letter, { words }]) => named(words, APPLE ? "⌥" : "Alt", letter)),
        named("keyLeave", "Esc")),
      APPLE ? h("p", { class: "note" }, t("keysApple")) : "",
      h("p", { class: "note" }, t("keys")),
      h("form", { method: "dialog" }, h("button", { class: "primary" }, t("close"))));
    document.addEventListener("keydown", (event) => this.#pressed(event));
  }

  show() {
    this.element.showModal();
  }

  #pressed(event) {
    const { key, code, altKey, ctrlKey, metaKey } = event;
    if (!altKey && !ctrlKey && !metaKey && isCharacter(key)) this.#plain.set(code, key.toLowerCase());
    if (!altKey || metaKey || event.isComposing || event.defaultPrevented) return;
    if (ctrlKey && !APPLE) return; // on Windows, AltGr is reported as Ctrl and Alt
    const act = this.#keys[this.#letter(event)]?.act;
    if (!act || (isTextField(event.composedPath()[0]) && this.#types(event))) return;
    if (!this.#ready() || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    if (!event.repeat) act();
  }

  /** The letter of a key. If Alt has changed it, the letter at the key's position. */
  #letter({ key, code }) {
    return /^[a-z]$/i.test(key) ? key.toUpperCase() : code.replace(/^Key/, "");
  }

  /** Returns whether a key types a character into a text field, so that it belongs to the field. */
  #types(event) {
    if (APPLE) return !event.ctrlKey;
    const { key, code } = event;
    if (key === "Dead" || event.getModifierState("AltGraph")) return true;
    const plain = this.#plain.get(code) ?? code.replace(/^Key/, "").toLowerCase();
    return isCharacter(key) && !/^[a-z]$/i.test(key) && key.toLowerCase() !== plain;
  }
}

function isCharacter(key) {
  return [...key].length === 1;
}

function isTextField(element) {
  return element instanceof HTMLElement && (element.isContentEditable || element.matches("input, textarea, select"));
}
