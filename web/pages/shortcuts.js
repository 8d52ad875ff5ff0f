import { h } from "./dom.js";

/** The keys of the console: Alt and a letter each, and the dialog that names them. */
export class Shortcuts {
  /**
   * @param {(key: string) => string} t
   * @param {Record<string, {words: string, act: () => void}>} keys by the letter
   * @param {() => boolean} ready whether the console takes keys now
   */
  constructor(t, keys, ready) {
    this.element = h("dialog", { "aria-labelledby": "help-title" },
      h("h2", { id: "help-title" }, t("help")),
      h("dl", {}, ...Object.entries(keys).map(([letter, { words }]) =>
        h("div", {}, h("dt", {}, h("kbd", {}, "Alt"), " + ", h("kbd", {}, letter)), h("dd", {}, t(words))))),
      h("p", { class: "note" }, t("keys")),
      h("form", { method: "dialog" }, h("button", { class: "primary" }, t("close"))));
    document.addEventListener("keydown", (event) => {
      const letter = event.code.replace("Key", ""); // by the key's place, since Alt changes the letter on some
      const key = event.altKey && !event.ctrlKey && !event.metaKey && keys[letter];
      if (!key || !ready() || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      key.act();
    });
  }

  show() {
    this.element.showModal();
  }
}
