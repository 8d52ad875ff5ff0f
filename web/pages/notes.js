/**
 * What the team writes into a chat for itself. No visitor gets any of it. A part of client.js.
 */
export class Notes {
  /** @type {import("./client.js").Note[]} oldest first */
  all = [];

  #chat;
  #at = 0; // how many of them the server has told since the last Join

  /** @param {import("./client.js").Link} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /** After a Join's history the server tells all notes once more. */
  again() {
    this.#at = 0;
  }

  /** The server tells a note. @param {import("./client.js").Note} note */
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
