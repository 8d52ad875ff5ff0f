import { barChart, rankChart } from "./chart.js";
import { Closed, failure } from "./closed.js";
import { saveTable } from "./csv.js";
import { clock, h, write } from "./dom.js";
import { SPANS } from "./report.js";
import { readersLocale } from "./strings.js";

/** The number of agents in the chart. The table has all of them. */
const RANKS = 10;
/** The figures that are durations, in seconds. */
const TIMES = { wait: "figWait", firstAnswer: "figAnswer", duration: "figDuration" };
/** Stands for an unknown figure. */
const NONE = "–";

/** The reports: the figures of the last days, by day and by agent. */
export class ReportView {
  #session;
  #views;
  #t;
  #rtl;
  #day;
  #number;
  #was = "chats";
  #shown = null; // the figures in the page

  /**
   * @param {import("./session.js").Session} session
   * @param {import("./views.js").Views} views
   * @param {(key: string, values?: object) => string} t
   * @param {{lang: string, dir: string}} speech
   */
  constructor(session, views, t, { lang, dir }) {
    this.#session = session;
    this.#views = views;
    this.#t = t;
    this.#rtl = dir === "rtl";
    this.#day = new Intl.DateTimeFormat(readersLocale(lang), { timeZone: "UTC", weekday: "short", day: "numeric", month: "short" });
    this.#number = new Intl.NumberFormat(readersLocale(lang), { maximumFractionDigits: 1 });
    const { report } = session;
    this.spans = SPANS.map((span) => h("button", { type: "button", "aria-pressed": "false", dataset: { span }, onclick: () => report.ask({ span }) }, t("lastDays", { count: span })));
    this.team = h("select", { "aria-label": t("team"), onchange: () => report.ask({ team: this.team.value }) });
    this.problem = h("p", { class: "hint", role: "alert" });
    this.retry = h("button", { type: "button", class: "quiet", onclick: () => report.ask() }, t("tryAgain"));
    this.status = h("p", { class: "note", role: "status" });
    this.sum = h("dl", { class: "sum" });
    this.byDay = h("section", { "aria-labelledby": "by-day" });
    this.byAgent = h("section", { "aria-labelledby": "by-agent" });
    this.closed = new Closed(session, t);
    this.parts = h("div", { class: "sheets" }, h("header", {}, h("h2", { id: "reports-title", tabIndex: -1 }, t("reports")),
      h("div", { class: "spans", role: "group", "aria-label": t("reports") }, ...this.spans, this.team)),
    this.problem, this.retry, this.status, this.sum, this.byDay, this.byAgent, h("p", { class: "note" }, t("reportNote")));
    this.element = h("main", { class: "reports", "aria-labelledby": "reports-title", hidden: true }, this.closed.element, this.parts);
  }

  update() {
    const t = this.#t;
    const { archive, report, signedIn } = this.#session;
    const { current } = this.#views;
    const shown = current === "reports";
    const open = archive.access === "open";
    const came = shown && open && this.#was !== "reports";
    this.element.hidden = !shown;
    this.closed.update();
    this.parts.hidden = !open;
    if (open || !shown) this.#was = current;
    if (came) report.ask();
    if (!shown && signedIn) return;
    for (const button of this.spans) button.setAttribute("aria-pressed", String(Number(button.dataset.span) === report.span));
    this.#showTeams();
    write(this.problem, report.problem ? failure(t, report.problem) : "");
    this.retry.hidden = !report.problem;
    this.parts.setAttribute("aria-busy", String(report.asking));
    const { figures } = report;
    write(this.status, !figures ? (report.asking ? t("archiveLoading") : "") : figures.chats ? t("found", { count: figures.chats }) : t("foundNone"));
    this.status.classList.toggle("unseen", Boolean(figures?.chats)); // the text is also below
    if (figures === this.#shown) return;
    this.#shown = figures;
    for (const part of [this.sum, this.byDay, this.byAgent]) {
      part.replaceChildren();
      part.hidden = !figures?.chats;
    }
    if (!figures?.chats) return;
    this.#showSum(figures);
    this.#showDays(report.days);
    this.#showAgents(figures.agents);
  }

  /** Moves the focus to the reports. */
  focus() {
    this.parts.querySelector("h2").focus();
  }

  #showTeams() {
    const { teams, report } = this.#session;
    this.team.hidden = teams.size === 0;
    const wanted = JSON.stringify([...teams]);
    if (this.team.dataset.choices !== wanted && document.activeElement !== this.team) {
      this.team.dataset.choices = wanted;
      this.team.replaceChildren(h("option", { value: "" }, this.#t("allTeams")), ...Array.from(teams, ([id, name]) => h("option", { value: id }, name || id)));
    }
    this.team.value = report.team;
  }

  #showSum(figures) {
    const t = this.#t;
    const one = (words, value, more = "") => h("div", {}, h("dt", {}, t(words)), h("dd", {}, value), ...(more ? [h("dd", { class: "note" }, more)] : []));
    this.sum.append(one("figChats", this.#write(figures.chats)), one("figMissed", this.#write(figures.missed)),
      ...Object.entries(TIMES).map(([key, words]) => one(words, time(figures[key].median), figures[key].p90 === null ? "" : t("figMost", { time: time(figures[key].p90) }))),
      one("figScore", figures.score === null ? NONE : `${this.#write(figures.score)} ★`));
  }

  #showDays(days) {
    const t = this.#t;
    const name = ({ day }) => this.#day.format(new Date(`${day}T00:00:00Z`));
    const ends = { first: name(days[0]), last: name(days.at(-1)), rtl: this.#rtl };
    const most = days.reduce((best, one) => (one.chats > best.chats ? one : best));
    const longest = days.reduce((best, one) => ((one.firstAnswer.median ?? -1) > (best.firstAnswer.median ?? -1) ? one : best));
    const legend = days.some(({ missed }) => missed > 0) &&
      h("p", { class: "legend note", "aria-hidden": "true" }, h("span", {}), t("figMissed"));
    this.#fill(this.byDay, "by-day", t("byDay"), [
      barChart(t("figChats"), this.#summary("figChats", name(most), this.#write(most.chats)),
        days.map((one) => ({ words: `${name(one)}: ${this.#write(one.chats)}${one.missed ? ` (${t("figMissed")}: ${this.#write(one.missed)})` : ""}`, value: one.chats, part: one.missed })),
        { ...ends, most: (value) => this.#write(value), legend: legend || undefined }),
      barChart(t("figAnswer"), this.#summary("figAnswer", name(longest), time(longest.firstAnswer.median)),
        days.map((one) => ({ words: `${name(one)}: ${time(one.firstAnswer.median)}`, value: one.firstAnswer.median })),
        { ...ends, most: (value) => clock(value * 1_000), seconds: true }),
    ], { of: t("figDay"), rows: days.toReversed(), name, missed: true }, () => this.#save("day", t("figDay"), days, ({ day }) => day));
  }

  #showAgents(agents) {
    const t = this.#t;
    const name = ({ supportUserName, agent }) => supportUserName || agent || NONE;
    if (agents.length === 0) {
      this.byAgent.hidden = true;
      return;
    }
    const [first] = agents;
    this.#fill(this.byAgent, "by-agent", t("byAgent"), [
      rankChart(t("figChats"), this.#summary("figChats", name(first), this.#write(first.chats)),
        agents.slice(0, RANKS).map((one) => ({ name: name(one), value: one.chats })), { write: (value) => this.#write(value), rtl: this.#rtl }),
    ], { of: t("agent"), rows: agents, name, missed: false }, () => this.#save("agent", t("agent"), agents, name));
  }

  /** The charts, the table, and the button that saves it. */
  #fill(part, id, title, charts, table, save) {
    part.append(h("div", { class: "top" }, h("h3", { id }, title), h("button", { type: "button", class: "quiet", "aria-label": this.#t("announce", { name: title, text: this.#t("csv") }), onclick: save }, this.#t("csv"))),
      h("div", { class: "beside" }, h("div", { class: "charts" }, ...charts), this.#table(title, table)));
  }

  #table(title, { of, rows, name, missed }) {
    const t = this.#t;
    const head = [of, t("figChats"), ...(missed ? [t("figMissed")] : []), t("messages"), ...Object.values(TIMES).map((words) => t(words)), t("figScore")];
    const cells = (one) => [one.chats, ...(missed ? [one.missed] : []), one.messages].map((value) => this.#write(value))
      .concat(Object.keys(TIMES).map((key) => time(one[key].median)), one.score === null ? NONE : this.#write(one.score));
    return h("div", { class: "sheet", tabIndex: 0, role: "region", "aria-label": title },
      h("table", {}, h("thead", {}, h("tr", {}, ...head.map((words) => h("th", { scope: "col" }, words)))),
        h("tbody", {}, ...rows.map((one) => h("tr", {}, h("th", { scope: "row", dir: "auto" }, name(one)), ...cells(one).map((text) => h("td", {}, text)))))));
  }

  /** All figures, with times in seconds. */
  #save(kind, of, rows, name) {
    const t = this.#t;
    const times = Object.entries(TIMES).flatMap(([key, words]) => ["median", "p90"].map((part) => [`${t(words)} ${part} (s)`, (one) => one[key][part]]));
    const columns = [[of, name], [t("figChats"), (one) => one.chats], [t("figMissed"), (one) => one.missed], [t("messages"), (one) => one.messages], ...times, [t("figScore"), (one) => one.score]];
    const { days } = this.#session.report;
    saveTable(`livesupport-${kind}-${days[0].day}-${days.at(-1).day}.csv`, columns.map(([words]) => words), rows.map((one) => columns.map(([, value]) => value(one))));
  }

  /** The text of a chart for screen readers. */
  #summary(title, name, value) {
    return this.#t("chartMost", { title: this.#t(title), name, value });
  }

  #write(value) {
    return this.#number.format(value);
  }
}

/** Formats seconds. */
function time(seconds) {
  return seconds === null ? NONE : clock(seconds * 1_000);
}
