import { aborter } from "./native.js";

/**
 * The presence of both sides. This side is `online` while its page is visible, otherwise `away`.
 * A part of client.js.
 */
export class Presence {
  /** The other side's presence; "" while unknown. @type {""|"online"|"away"|"offline"} */
  other = "";

  #chat;
  #told = ""; // this side's state, as the server knows it
  #watch = null;

  /** @param {import("./client.js").Link} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /** Starts watching the page. */
  open() {
    this.close();
    this.#watch = aborter();
    document.addEventListener("visibilitychange", () => this.announce(), { signal: this.#watch.signal });
  }

  /** Stops watching the page. */
  close() {
    this.#watch?.abort();
    this.#watch = null;
  }

  /** A new socket counts as online. */
  joined() {
    this.#told = "online";
  }

  /** Sends this side's state if it has changed. */
  announce() {
    const state = document.visibilityState === "hidden" ? "away" : "online";
    if (state !== this.#told && this.#chat.signal("Presence", { state })) this.#told = state;
  }

  /** Handles a Presence from the server. */
  take({ from, state }) {
    if (from === this.#chat.other) this.#show(state);
  }

  /** Forgets the other side's state: the connection has ended, or the other side has left. */
  forget() {
    this.#show("");
  }

  #show(state) {
    if (state === this.other) return;
    this.other = state;
    this.#chat.tell("presence", { from: this.#chat.other, state });
  }
}
