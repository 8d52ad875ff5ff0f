import { chime, TitleFlash } from "./attention.js";
import { cut } from "./text.js";

/** Calls an agent who looks elsewhere, with a sound, the title and notifications of the system. */
export class Notifications extends EventTarget {
  #store;
  #speech;
  #title = new TitleFlash();

  /**
   * @param {import("./storage.js").Store} store stores what is switched off
   * @param {{lang: string, dir: string}} speech
   */
  constructor(store, speech) {
    super();
    this.#store = store;
    this.#speech = speech;
  }

  get muted() {
    return this.#store.get("mute") === true;
  }

  get on() {
    return "Notification" in window && Notification.permission === "granted" && this.#store.get("quiet") !== true;
  }

  /** Whether the browser will still ask the agent for permission. */
  get asks() {
    return "Notification" in window && Notification.permission === "default";
  }

  switchSound() {
    this.#set("mute", !this.muted);
  }

  /** @returns {Promise<boolean>} false if the browser does not allow them */
  async switch() {
    if (this.on) {
      this.#set("quiet", true);
      return true;
    }
    if (this.asks) await Notification.requestPermission();
    this.#set("quiet", false);
    return this.on;
  }

  /** Lets the browser ask for permission, the first time. */
  askOnce() {
    if (!this.asks || this.#store.get("asked") === true) return;
    this.#store.set("asked", true);
    Notification.requestPermission().then(() => this.dispatchEvent(new Event("change")), () => {});
  }

  #set(setting, value) {
    this.#store.set(setting, value);
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Calls the agent.
   * @param {string} tag notifications of one tag replace each other
   * @param {string} head
   * @param {string} body
   * @param {() => void} onclick
   */
  call(tag, head, body, onclick) {
    if (!this.muted) chime();
    if (!document.hidden && document.hasFocus()) return;
    this.#title.show(`${head}: ${cut(body, 60)}`);
    if (!this.on) return;
    try {
      const one = new Notification(head, { body: cut(body, 160), tag, ...this.#speech });
      one.onclick = () => {
        window.focus();
        onclick();
        one.close();
      };
    } catch {
      // on some phones only service workers may show them
    }
  }
}
