import { loadOf, sorted, STATUS } from "./colleagues.js";
import { h, write } from "./dom.js";
import { MessageField } from "./field.js";
import { visible, wellFormed } from "./text.js";

/** The maximum number of colleagues in the list. */
const MOST = 200;

/** The dialog that transfers a conversation to a colleague, a team or the queue. */
export class TransferDialog {
  #session;
  #t;
  #chatId = "";
  #busy = false;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {import("./storage.js").Store} drafts keeps what is half written
   */
  constructor(session, t, drafts) {
    this.#session = session;
    this.#t = t;
    this.title = h("h2", { id: "transfer-title" });
    this.targets = h("fieldset", { class: "targets" });
    const draft = () => `draft.${this.#chatId}.transfer`;
    this.field = new MessageField(t, { id: "transfer-note", enterSends: false, grows: true, submit: () => this.#submit() },
      { get: () => drafts.get(draft()), set: (text) => drafts.set(draft(), text) },
      { rows: 2, placeholder: " ", "aria-describedby": "transfer-note-about transfer-note-hint" });
    this.problem = h("p", { class: "hint", role: "alert" });
    this.button = h("button", { class: "primary" }, t("transferDo"));
    this.element = h("dialog", { class: "transfer", "aria-labelledby": "transfer-title", onclose: () => this.#closed() }, this.title,
      h("form", { onsubmit: (event) => {
        event.preventDefault();
        this.#submit();
      } }, this.targets,
      h("label", { class: "for-team" }, h("span", {}, t("transferNote")), this.field.text),
      h("p", { class: "note", id: "transfer-note-about" }, t("noteHint")), this.field.hint, this.field.alarm, this.problem,
      h("div", { class: "choice" },
        h("button", { type: "button", onclick: () => this.element.close() }, t("cancel")), this.button)));
  }

  /** @param {string} chatId of an open conversation */
  open(chatId) {
    this.#chatId = chatId;
    write(this.title, this.#t("transferAsk", { name: this.#chat.participant.username }));
    write(this.problem, "");
    this.#list();
    this.element.showModal();
    this.field.restore();
    this.targets.querySelector("input").focus();
    this.#session.learnTeams().then(() => this.#chatId === chatId && !this.#busy && this.#list());
  }

  get #chat() {
    return this.#session.desk.entries.get(this.#chatId)?.chat;
  }

  /** Keeps the list while the dialog is open, except for teams that the server tells late. */
  #list() {
    const t = this.#t;
    const chosen = this.targets.querySelector(":checked")?.value ?? "queue";
    const focused = this.targets.contains(document.activeElement);
    const { lobby } = this.#session;
    const present = sorted(lobby.others).filter(({ agent }) => !this.#isWith(agent)).slice(0, MOST);
    const teams = new Map(this.#session.teams);
    if (teams.size === 0) for (const { teams: names = [] } of lobby.colleagues ?? []) for (const name of names) teams.set(name, name);
    this.targets.replaceChildren(h("legend", {}, t("transferTo")),
      this.#option("queue", t("transferQueue"), t("transferQueueHint")),
      ...present.map((one) => this.#option(`agent ${one.agent}`, one.supportUserName || t("agent"), t("statusAndLoad", { status: t(STATUS[one.status]), load: loadOf(t, one) }), one.status)),
      ...[...teams].map(([id, name]) => this.#option(`team ${id}`, name, t("team"))));
    const inputs = [...this.targets.querySelectorAll("input")];
    const again = inputs.find(({ value }) => value === chosen) ?? inputs[0];
    again.checked = true;
    if (focused) again.focus();
  }

  /** Leaves out the agent who has the chat, if an observer transfers it. */
  #isWith(agent) {
    return this.#session.lobby.chats.get(this.#chatId)?.agent === agent;
  }

  #option(value, name, about, status) {
    const there = status ? [h("span", { class: "there", dataset: { status }, "aria-hidden": "true" })] : [];
    return h("label", {}, h("input", { type: "radio", name: "target", value, dataset: { name } }), ...there,
      h("span", { class: "name", dir: "auto" }, name), h("span", { class: "about" }, about));
  }

  async #submit() {
    if (this.#busy || this.field.tooLong()) return;
    const { value, dataset: { name } } = this.targets.querySelector(":checked");
    const [kind, ...rest] = value.split(" ");
    const id = rest.join(" ");
    const to = { queue: { to: "queue" }, agent: { to: "agent", agent: id }, team: { to: "team", team: id } }[kind];
    const chatId = this.#chatId;
    this.#wait(true);
    const note = visible(this.field.value) ? wellFormed(this.field.value) : "";
    const problem = await this.#session.transfer(chatId, to, note, kind === "queue" ? "" : name);
    this.#wait(false);
    if (chatId !== this.#chatId) return;
    write(this.problem, problem);
    if (problem) return;
    this.field.value = "";
    this.element.close();
  }

  #wait(busy) {
    this.#busy = this.field.text.readOnly = busy;
    this.button.setAttribute("aria-disabled", String(busy));
    write(this.button, this.#t(busy ? "transferring" : "transferDo"));
    if (busy) write(this.problem, "");
  }

  #closed() {
    if (this.element.open) return;
    this.#chatId = "";
    write(this.title, ""); // so that no name stays in the page
    this.targets.replaceChildren();
    this.field.text.value = "";
  }
}
