import { h, icon, write } from "./dom.js";
import { MessageField } from "./field.js";
import { reason } from "./strings.js";
import { wellFormed } from "./text.js";

/** The form for notes. It is separate from the message field, so that no note can go to a visitor. */
export class NoteForm {
  #t;
  #chat = null;
  #busy = new Set(); // chats with a note that is being sent

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {import("./storage.js").Store} drafts stores drafts
   */
  constructor(t, drafts) {
    this.#t = t;
    const draft = (chat) => `draft.${chat.participant.chatId}.note`;
    this.forget = (chat) => drafts.set(draft(chat), null);
    this.field = new MessageField(t, { id: "note", enterSends: true, grows: true, submit: () => this.#submit() },
      { get: () => drafts.get(draft(this.#chat)), set: (text) => drafts.set(draft(this.#chat), text) },
      { rows: 1, placeholder: t("noteHere"), "aria-label": t("noteLabel"), "aria-describedby": "note-about note-keys note-hint note-problem" });
    this.text = this.field.text;
    this.problem = h("p", { class: "hint", role: "alert", id: "note-problem" });
    this.send = h("button", { class: "add", onmousedown: (event) => event.preventDefault() }, t("noteAdd"));
    this.element = h("form", { class: "composer for-notes", hidden: true, onsubmit: (event) => {
      event.preventDefault();
      this.#submit();
    } },
    h("p", { class: "about", id: "note-about" }, icon("note"), t("noteHint")), this.field.hint, this.field.alarm, this.problem,
    h("div", { class: "field" }, this.text, this.send), this.field.keys);
  }

  /** @param {import("./client.js").Chat|null} chat */
  show(chat) {
    if (chat === this.#chat) return;
    this.#chat = chat;
    write(this.problem, "");
    if (chat) this.field.restore();
    else this.text.value = "";
    this.#wait();
  }

  async #submit() {
    const chat = this.#chat;
    if (this.#busy.has(chat) || !this.field.sendable()) return;
    this.#busy.add(chat);
    this.#wait();
    let problem = "";
    try {
      await chat.note(wellFormed(this.field.value));
    } catch ({ code }) {
      problem = this.#t("noteNotKept", { reason: reason(this.#t, code) });
    }
    this.#busy.delete(chat);
    if (!problem) this.forget(chat);
    if (chat !== this.#chat) return;
    if (!problem) this.field.value = "";
    write(this.problem, problem);
    this.#wait();
  }

  #wait() {
    const busy = this.#busy.has(this.#chat);
    this.text.readOnly = busy;
    this.send.setAttribute("aria-disabled", String(busy));
    if (busy) write(this.problem, "");
  }
}
