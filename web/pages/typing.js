import { clearTimeout, setTimeout } from "./native.js";

/** While somebody types the server is told so this often, in ms. */
const REPEAT = 3_000;
/** The server passes on one sign a second. */
const PAUSE = 1_000;
/** How long the other side is shown as typing without a further sign, in ms. */
const SHOWN = 6_000;
/** The most characters (code points) of what is being written that the server takes. */
const MAX_PREVIEW = 1_000;

/**
 * Who is typing. key() is for every change of the message field, stop() for its loss of the focus.
 * A part of client.js.
 */
export class Typing {
  /** Whether what a visitor is writing is shown to the agent: the page says so, as the site does. */
  preview = false;
  /** What the other side does. @type {{typing: boolean, text: string}} text: only with a preview */
  other = { typing: false, text: "" };

  #chat;
  #said = false; // that this side is typing
  #at = -Infinity; // when it was last said
  #current = ""; // what stands there now
  #again = 0; // timer: a text that is yet to be sent
  #over = 0; // timer: of the other side

  /** @param {import("./client.js").Link} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /** The message field has changed. @param {string} text what stands in it */
  key(text) {
    if (text.trim() === "") return this.stop();
    this.#current = text;
    const since = Date.now() - this.#at;
    const shown = this.preview && this.#chat.role === "User";
    if (since >= (this.#said && !shown ? REPEAT : PAUSE)) this.#say(shown);
    else if (shown) this.#again ||= setTimeout(() => this.#say(shown), PAUSE - since);
  }

  /** This side types no longer: it has left the field, emptied it or sent what was in it. */
  stop() {
    clearTimeout(this.#again);
    this.#again = 0;
    if (this.#said) this.#chat.signal("Typing", { typing: false });
    this.#said = false;
  }

  #say(shown) {
    clearTimeout(this.#again);
    this.#again = 0;
    const text = shown ? Array.from(this.#current).slice(-MAX_PREVIEW).join("") : undefined;
    if (!this.#chat.signal("Typing", { typing: true, text })) return;
    this.#said = true;
    this.#at = Date.now();
    this.#chat.renew();
  }

  /** The server tells that the other side types, or does not any more. */
  take({ from, typing, text = "" }) {
    if (from !== this.#chat.other) return;
    clearTimeout(this.#over);
    if (typing) {
      this.#over = setTimeout(() => this.#show(false, ""), SHOWN);
      this.#chat.renew();
    }
    this.#show(typing, typing ? text : "");
  }

  /** A message ends its sender's typing. */
  wrote(from) {
    this.take({ from, typing: false });
  }

  /** The connection has ended: the server says the rest. */
  left() {
    clearTimeout(this.#again);
    this.#again = 0;
    this.#said = false;
    this.wrote(this.#chat.other);
  }

  #show(typing, text) {
    if (typing === this.other.typing && text === this.other.text) return;
    this.other = { typing, text };
    this.#chat.tell("typing", { from: this.#chat.other, typing, text });
  }
}
