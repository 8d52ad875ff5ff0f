import { failure } from "./closed.js";
import { h, write } from "./dom.js";
import { showTeam, teamMark } from "./facts.js";
import { list } from "./list.js";
import { Moments } from "./moments.js";
import { starsOf } from "./pane.js";

/** The search in the archive: the filter and the results. */
export class Finder {
  #session;
  #t;
  #moments;
  #shown = null; // the list in the page

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   */
  constructor(session, t, lang) {
    this.#session = session;
    this.#t = t;
    this.#moments = new Moments(lang);
    const { archive } = session;
    const labelled = (words, field) => h("label", {}, h("span", {}, t(words)), field);
    this.query = h("input", { type: "search", id: "archive-query", dir: "auto", autocomplete: "off", spellcheck: false, enterKeyHint: "search",
      placeholder: t("searchHint"), oninput: () => archive.want({ query: this.query.value }, true) });
    const day = (name) => h("input", { type: "date", onchange: ({ target }) => archive.want({ [name]: target.value }) });
    this.from = day("from");
    this.to = day("to");
    const choice = (name) => h("select", { onchange: ({ target }) => archive.want({ [name]: target.value }) });
    this.agent = choice("agent");
    this.team = choice("team");
    this.teamLabel = labelled("team", this.team);
    this.clear = h("button", { type: "button", class: "quiet", onclick: () => this.#clear() }, t("searchClear"));
    this.form = h("form", { role: "search", class: "search", onsubmit: (event) => {
      event.preventDefault();
      archive.again();
    } }, labelled("search", this.query),
    h("div", { class: "filters" }, labelled("fromDay", this.from), labelled("toDay", this.to), labelled("agent", this.agent), this.teamLabel), this.clear);
    this.count = h("p", { class: "note", role: "status" });
    this.problem = h("p", { class: "hint", role: "alert" });
    this.retry = h("button", { type: "button", class: "quiet", onclick: () => archive.again() }, t("tryAgain"));
    this.items = h("ol", { class: "found" });
    this.further = h("button", { type: "button", class: "further", onclick: () => archive.further() }, t("leftFurther"));
    this.full = h("p", { class: "note" });
    this.element = h("section", { class: "column finder", "aria-labelledby": "archive-title" },
      h("h2", { id: "archive-title" }, t("archive")), this.form, this.count, this.problem, this.retry, this.items, this.further, this.full);
  }

  update() {
    const t = this.#t;
    const { archive, signedIn } = this.#session;
    const { found, more, full, searching, problem, wanted } = archive;
    if (!signedIn) for (const field of [this.query, this.from, this.to]) field.value = ""; // nothing of an agent who has signed out stays in the page
    write(this.problem, problem ? failure(t, problem) : "");
    this.retry.hidden = !problem;
    this.element.setAttribute("aria-busy", String(searching));
    if (!searching) write(this.count, problem || !signedIn ? "" : !found.length ? t("foundNone") : t(more || full ? "foundFirst" : "found", { count: found.length }));
    this.further.hidden = !more || !found.length;
    this.further.setAttribute("aria-disabled", String(searching));
    this.full.hidden = !full;
    write(this.full, full ? t("foundMost", { count: found.length }) : "");
    this.clear.hidden = !Object.values(wanted).some(Boolean);
    this.#choices(this.agent, wanted.agent, t("allAgents"), this.#agents());
    const teams = new Map([...this.#session.teams.keys(), ...archive.teams].map((id) => [id, this.#session.team(id)]));
    this.teamLabel.hidden = teams.size === 0;
    this.#choices(this.team, wanted.team, t("allTeams"), teams);
    if (this.#shown !== found) { // this list is long, so rebuild it only when it has changed
      this.#shown = found;
      list(this.items, new Map(found.map((one) => [one.chatId, one])), () => this.#item(), (item, one) => this.#updateItem(item, one));
    }
    this.#mark();
  }

  /** The choices: agents who are here, and those of the chats that were found. */
  #agents() {
    const { lobby, archive, needsToken } = this.#session;
    const here = (lobby.colleagues ?? []).map(({ agent, supportUserName }) => [needsToken ? agent : supportUserName, supportUserName]);
    return new Map([...archive.agents, ...here].filter(([who]) => who).sort(([, one], [, other]) => one.localeCompare(other)));
  }

  #choices(field, value, all, choices) {
    const wanted = JSON.stringify([...choices]);
    if (field.dataset.choices !== wanted && document.activeElement !== field) { // not while somebody is choosing
      field.dataset.choices = wanted;
      field.replaceChildren(h("option", { value: "" }, all), ...Array.from(choices, ([who, name]) => h("option", { value: who }, name || who)));
    }
    if (field.value !== value) field.value = value;
  }

  #clear() {
    for (const field of [this.query, this.from, this.to]) field.value = "";
    this.#session.archive.want({ query: "", agent: "", team: "", from: "", to: "" });
    this.query.focus();
  }

  /** Marks the open chat. */
  #mark() {
    const { selected } = this.#session.archive;
    for (const link of this.items.querySelectorAll("[aria-current]")) {
      if (link.parentElement.dataset.key !== selected) link.removeAttribute("aria-current");
    }
    if (selected) this.#link(selected)?.setAttribute("aria-current", "true");
  }

  #link(chatId) {
    return this.items.querySelector(`[data-key="${CSS.escape(chatId)}"] > a`);
  }

  /** Moves the focus to a chat of the list, or to the search. @param {string} chatId */
  focus(chatId) {
    (this.#link(chatId) ?? this.query).focus();
  }

  #item() {
    return h("li", {}, h("a", {}, h("span", { class: "name", dir: "auto" }), h("time", {}), h("span", { class: "whose" }), h("span", { class: "how" }), teamMark()));
  }

  #updateItem(item, { chatId, username, verified, agents, ended, endedBy, messages, score, team }) {
    const t = this.#t;
    const link = item.firstElementChild;
    if (link.hash) return; // an ended chat does not change
    link.href = `#archive/${chatId}`;
    const [name, time, whose, how, mark] = link.children;
    write(name, username);
    if (verified) name.append(h("span", { class: "sure", role: "img", "aria-label": t("verified"), title: t("verified") }, " ✓"));
    time.dateTime = ended;
    time.title = this.#moments.full(new Date(ended));
    write(time, this.#moments.brief(new Date(ended)));
    write(whose, agents.length ? agents.map(({ supportUserName }) => supportUserName).join(", ") : t("recordMissed"));
    const rated = score ? [h("span", { class: "stars", role: "img", "aria-label": t("rated", { score, most: 5 }) }, starsOf({ score }))] : [];
    how.replaceChildren(t(ENDS[endedBy] ?? "other"), " · ", t("recordMessages", { count: messages }), ...rated.flatMap((one) => [" · ", one]));
    showTeam(mark, this.#session.team(team ?? ""));
  }
}

/** Describes how a chat ended. */
const ENDS = { User: "endByUser", Support: "endBySupport", expiry: "endByExpiry" };
