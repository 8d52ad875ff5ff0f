import { failure } from "./closed.js";
import { Conversation } from "./conversation.js";
import { h, icon, label, write } from "./dom.js";
import { EarlierChats } from "./earlier.js";
import { isShown } from "./focus.js";
import { Moments } from "./moments.js";
import { Rating } from "./pane.js";
import { verifiedMark } from "./queue.js";
import { save } from "./transcript.js";

/** Shows an archived chat as it was. */
export class Reader {
  #session;
  #t;
  #moments;
  #confirm;
  #gone;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {import("./confirm.js").Confirm} confirm asks before something is deleted
   * @param {() => void} gone is called after the open chat was deleted
   */
  constructor(session, t, lang, confirm, gone) {
    this.#session = session;
    this.#t = t;
    this.#moments = new Moments(lang);
    this.#confirm = confirm;
    this.#gone = gone;
    this.back = h("a", { class: "back-link", href: "#archive" }, icon("back"));
    for (const attribute of ["aria-label", "title"]) this.back.setAttribute(attribute, t("archiveBack"));
    this.name = h("bdi");
    this.verified = verifiedMark(t);
    this.span = h("p", { class: "since" });
    this.whose = h("p", { class: "since" });
    this.transcript = h("button", { type: "button", class: "tool", onclick: () => this.#save() });
    label(this.transcript, "save", t("saveChat"));
    this.delete = h("button", { type: "button", class: "tool", onclick: () => this.#delete() });
    this.earlier = new EarlierChats(session, t, lang);
    this.conversation = new Conversation(t, lang, { get: () => null, set() {} }, [], "archive-message");
    this.rating = new Rating(t);
    this.whole = h("section", { class: "talk record", "aria-labelledby": "record-title", hidden: true },
      h("header", {}, this.back,
        h("div", { class: "with" }, h("h2", { id: "record-title" }, this.name), h("div", { class: "line" }, this.verified, this.whose, this.span)),
        this.transcript, this.delete),
      this.earlier.element, this.conversation.element, this.rating.element);
    this.words = h("p", { role: "status" });
    this.list = h("a", { href: "#archive" }, t("archiveBack"));
    this.idle = h("div", { class: "idle" }, icon("archive"), this.words, this.list);
    this.whole.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing && !event.defaultPrevented) location.hash = "archive";
    });
  }

  update() {
    const t = this.#t;
    const { archive: { selected, record, recordProblem }, supervises } = this.#session;
    this.whole.hidden = !record;
    this.idle.hidden = Boolean(record);
    this.list.hidden = !recordProblem;
    write(this.words, recordProblem ? failure(t, recordProblem) : t(selected ? "archiveLoading" : "archiveChoose"));
    const before = this.conversation.element.dataset.of ?? "";
    this.conversation.show(record);
    this.rating.update(record?.rating);
    this.earlier.update(record);
    this.delete.hidden = !supervises;
    if (!record) {
      for (const part of [this.name, this.span, this.whose]) write(part, "");
      delete this.conversation.element.dataset.of;
      return;
    }
    const { chatId, username, verified, agents, started, ended } = record.kept;
    this.conversation.element.dataset.of = chatId;
    write(this.name, username);
    this.verified.hidden = !verified;
    write(this.whose, agents.length ? agents.map(({ supportUserName }) => supportUserName).join(", ") : t("recordMissed"));
    write(this.span, this.#moments.span(new Date(started), new Date(ended)));
    label(this.delete, "bin", t("deleteAsk", { name: username }));
    if (before !== chatId && isShown(this.whole)) this.focus();
  }

  /** Moves the focus to the chat. */
  focus() {
    this.conversation.log.focus();
  }

  async #save() {
    const { archive } = this.#session;
    const { kept } = archive.record;
    try {
      save(await archive.transcript(), new Date(kept.started));
    } catch ({ code }) {
      this.#session.say(failure(this.#t, code));
    }
  }

  async #delete() {
    const t = this.#t;
    const { archive } = this.#session;
    const { chatId, username: name, sub } = archive.record.kept;
    const note = sub ? [t("deleteAskNote"), t("deleteAllNote")].join(" ") : t("deleteAskNote");
    const answers = sub ? { all: t("deleteAll"), delete: t("deleteChat") } : { delete: t("deleteChat") };
    const what = await this.#confirm.ask(t("deleteAsk", { name }), note, answers);
    if (!what) return;
    try {
      if (what === "all") await archive.deleteVisitor(sub);
      else await archive.delete(chatId);
      this.#session.say(t(what === "all" ? "deletedAll" : "deleted", { name }));
      this.#gone();
    } catch ({ code }) {
      this.#session.say(failure(t, code));
    }
  }
}
