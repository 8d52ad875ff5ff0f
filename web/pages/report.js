const DAY = 86_400_000;

/** The spans to choose from, in days. */
export const SPANS = [7, 30, 90];

/**
 * The figures of the last days, for a session, which dispatches the changes. Days are in UTC, as on the
 * server.
 *
 * @typedef {{median: number|null, p90: number|null}} Quantile in seconds
 * @typedef {{chats: number, missed: number, messages: number, score: number|null, wait: Quantile,
 *            firstAnswer: Quantile, duration: Quantile}} Figures
 * @typedef {Figures & {days: (Figures & {day: string})[],
 *            agents: (Figures & {agent: string|null, supportUserName: string})[]}} Answer
 */
export class Report {
  /** The number of days, including today. */
  span = SPANS[0];
  /** The team whose chats are counted, or "". */
  team = "";
  /** @type {Answer|null} */
  figures = null;
  /** Every day of the span, oldest first, including those without chats. @type {(Figures & {day: string})[]} */
  days = [];
  /** Whether a request is running. */
  asking = false;
  /** The code of the last request's failure, or "". */
  problem = "";

  #archive;
  #now;
  #changed;
  #under = null;

  /**
   * @param {import("./search.js").Search} archive
   * @param {() => number} now the server's time, in ms
   * @param {() => void} changed
   */
  constructor(archive, now, changed) {
    this.#archive = archive;
    this.#now = now;
    this.#changed = changed;
  }

  /** The agent has signed out. */
  close() {
    this.#under?.abort();
    Object.assign(this, { span: SPANS[0], team: "", figures: null, days: [], asking: false, problem: "" });
  }

  /** Requests the figures, perhaps of another span. @param {{span?: number, team?: string}} [wanted] */
  async ask(wanted = {}) {
    Object.assign(this, wanted);
    this.#under?.abort();
    const under = new AbortController();
    this.#under = under;
    this.asking = true;
    this.#changed();
    const days = Array.from({ length: this.span }, (_, i) => dayOf(this.#now() - (this.span - 1 - i) * DAY));
    try {
      const figures = await this.#archive.figures({ from: days[0], team: this.team }, under.signal);
      if (under !== this.#under) return;
      this.figures = figures;
      const known = new Map(figures.days.map((one) => [one.day, one]));
      this.days = days.map((day) => known.get(day) ?? nothing(day));
      this.problem = "";
    } catch ({ code }) {
      if (under !== this.#under) return;
      this.problem = code;
    }
    this.asking = false;
    this.#changed();
  }
}

const dayOf = (at) => new Date(at).toISOString().slice(0, 10);

/** The figures of a day without chats. */
function nothing(day) {
  const none = { median: null, p90: null };
  return { day, chats: 0, missed: 0, messages: 0, score: null, wait: none, firstAnswer: none, duration: none };
}
