import { aborter } from "./native.js";

/**
 * Whether the two sides are there: this one is `online` while its page is visible, else `away`.
 * A part of client.js.
 */
export class Presence {
  /** The other side; "" while it is not known. @type {""|"online"|"away"|"offline"} */
  other = "";

  #chat;
  #told = ""; // this side's state, as the server knows it
  #watch = null;

  /** @param {import("./client.js").Link} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /** Begins to look at the page. */
  open() {
    this.close();
    this.#watch = aborter();
    document.addEventListener("visibilitychange", () => this.announce(), { signal: this.#watch.signal });
  }

  /** Looks no longer. */
  close() {
    this.#watch?.abort();
    this.#watch = null;
  }

  /** A socket that says nothing is online. */
  joined() {
    this.#told = "online";
  }

  /** Tells the server if this side's state is another one by now. */
  announce() {
    const state = document.visibilityState === "hidden" ? "away" : "online";
    if (state !== this.#told && this.#chat.signal("Presence", { state })) this.#told = state;
  }

  /** The server tells the state of a side. */
  take({ from, state }) {
    if (from === this.#chat.other) this.#show(state);
  }

  /** Nothing is known any more: the connection has ended, or the other side has left the chat. */
  forget() {
    this.#show("");
  }

  #show(state) {
    if (state === this.other) return;
    this.other = state;
    this.#chat.tell("presence", { from: this.#chat.other, state });
  }
}
