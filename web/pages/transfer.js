import { loadOf, sorted, STATUS } from "./colleagues.js";
import { h, write } from "./dom.js";
import { MessageField } from "./field.js";
import { list } from "./list.js";
import { visible, wellFormed } from "./text.js";

/** The maximum number of colleagues in the list. */
const MOST = 200;

/** The dialog that transfers a conversation to a colleague, a team or the queue. */
export class TransferDialog {
  #session;
  #t;
  #chatId = "";
  #busy = false;
  #listed = new Map(); // colleagues who have been in the open list, by ID

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {import("./storage.js").Store} drafts keeps what is half written
   */
  constructor(session, t, drafts) {
    this.#session = session;
    this.#t = t;
    this.title = h("h2", { id: "transfer-title" });
    this.options = h("div");
    this.targets = h("fieldset", { class: "targets" }, h("legend", {}, t("transferTo")), this.options);
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
    this.#chosen.focus();
    this.#session.learnTeams().then(() => this.update());
  }

  update() {
    if (this.#chatId && this.#session.lobby.colleagues) this.#list();
  }

  get #chat() {
    return this.#session.desk.entries.get(this.#chatId)?.chat;
  }

  /**
   * Shows who is there. While the dialog is open nobody moves under the pointer: newcomers are added
   * below the others, and whoever has gone stays, as offline.
   */
  #list() {
    const t = this.#t;
    const { lobby } = this.#session;
    const present = new Map(sorted(lobby.others).filter(({ agent }) => !this.#isWith(agent)).map((one) => [one.agent, one]));
    for (const [agent, one] of present) {
      if (this.#listed.has(agent) || this.#listed.size < MOST) this.#listed.set(agent, one);
    }
    const teams = new Map(this.#session.teams);
    if (teams.size === 0) for (const { teams: names = [] } of lobby.colleagues ?? []) for (const name of names) teams.set(name, name);
    const targets = new Map([["queue", { name: t("transferQueue"), about: t("transferQueueHint") }]]);
    for (const [agent, one] of this.#listed) {
      const status = present.has(agent) ? one.status : "offline";
      const words = t(STATUS[status]);
      const about = status === "offline" ? words : t("statusAndLoad", { status: words, load: loadOf(t, one) });
      targets.set(`agent ${agent}`, { name: one.supportUserName || t("agent"), about, status });
    }
    for (const [id, name] of teams) targets.set(`team ${id}`, { name, about: t("team") });
    const focused = this.options.contains(document.activeElement);
    list(this.options, targets, (value) => this.#option(value), updateOption);
    if (!this.#chosen) this.options.querySelector("input").checked = true; // none yet, or its team is gone
    if (focused && !this.options.contains(document.activeElement)) this.#chosen.focus();
  }

  get #chosen() {
    return this.options.querySelector(":checked");
  }

  /** Leaves out the agent who has the chat, if an observer transfers it. */
  #isWith(agent) {
    return this.#session.lobby.chats.get(this.#chatId)?.agent === agent;
  }

  #option(value) {
    return h("label", {}, h("input", { type: "radio", name: "target", value }), h("span", { class: "there", "aria-hidden": "true" }),
      h("span", { class: "name", dir: "auto" }), h("span", { class: "about" }));
  }

  async #submit() {
    if (this.#busy || this.field.tooLong()) return;
    const { value, dataset: { name } } = this.#chosen;
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
    this.#listed.clear();
    this.options.replaceChildren();
    this.field.text.value = "";
  }
}

function updateOption(option, { name, about, status }) {
  const [input, there, ...words] = option.children;
  input.dataset.name = name;
  there.hidden = !status;
  there.dataset.status = status ?? "";
  write(words[0], name);
  write(words[1], about);
}
