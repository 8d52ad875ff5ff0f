/**
 * The team's notes in a chat. No visitor ever gets them. A part of client.js.
 */
export class Notes {
  /** @type {import("./client.js").Note[]} oldest first */
  all = [];

  #chat;
  #at = 0; // the number of notes that the server has sent since the last Join

  /** @param {import("./client.js").Link} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /** A Join's history has come: the server sends all notes again after it. */
  again() {
    this.#at = 0;
  }

  /** The server has sent a note. @param {import("./client.js").Note} note */
  take(note) {
    const known = this.all[this.#at++];
    if (known?.timestamp === note.timestamp && known.content === note.content) return;
    if (note.supportId) this.#chat.agents.named(note.supportId, note.supportUserName);
    this.all.push(note);
    this.#at = this.all.length;
    this.#chat.tell("note", note);
    this.#chat.requests.answer("Note", note, ({ content }) => content === note.content);
  }

  /** @param {string} content */
  async add(content) {
    await this.#chat.requests.ask("Note", { content }, true);
  }
}
