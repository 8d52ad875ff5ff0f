import { clearTimeout, setTimeout } from "./native.js";

/** How often a Typing is repeated while this side types, in ms. */
const REPEAT = 3_000;
/** The minimum time between two Typing, in ms, because the server passes on one a second. */
const PAUSE = 1_000;
/** How long the other side counts as typing after its last Typing, in ms. */
const SHOWN = 6_000;
/** The maximum number of characters (code points) in a preview. */
const MAX_PREVIEW = 1_000;

/**
 * Who is typing. Call key() on every change of the message field, and stop() when it loses the focus.
 * A part of client.js.
 */
export class Typing {
  /** Whether the agent sees what the visitor is writing. Set by the page if the site allows it. */
  preview = false;
  /** The other side's state. @type {{typing: boolean, text: string}} text: only with a preview */
  other = { typing: false, text: "" };

  #chat;
  #said = false; // the server was told that this side is typing
  #at = -Infinity; // when that was last sent
  #current = ""; // the current text
  #again = 0; // timer of a text to send
  #over = 0; // timer of the other side

  /** @param {import("./client.js").Link} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /** Handles a change of the message field. @param {string} text its content */
  key(text) {
    if (text.trim() === "") return this.stop();
    this.#current = text;
    const since = Date.now() - this.#at;
    const shown = this.preview && this.#chat.role === "User";
    if (since >= (this.#said && !shown ? REPEAT : PAUSE)) this.#say(shown);
    else if (shown) this.#again ||= setTimeout(() => this.#say(shown), PAUSE - since);
  }

  /** Ends this side's typing: the person has left the field, emptied it or sent the message. */
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

  /** Handles a Typing from the server. */
  take({ from, typing, text = "" }) {
    if (from !== this.#chat.other) return;
    clearTimeout(this.#over);
    if (typing) {
      this.#over = setTimeout(() => this.#show(false, ""), SHOWN);
      this.#chat.renew();
    }
    this.#show(typing, typing ? text : "");
  }

  /** Ends the typing of a message's sender. */
  wrote(from) {
    this.take({ from, typing: false });
  }

  /** Resets the state after a lost connection. */
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
