import { readersLocale } from "./strings.js";

/** Times and dates as the reader writes them, in the reader's time zone. */
export class Moments {
  #time;
  #full;
  #day;
  #dayAndYear;
  #locale;
  #brief; // these two are made when they are needed: the widget does not
  #span;

  /** @param {string} lang of the page */
  constructor(lang) {
    const locale = readersLocale(lang);
    const day = { weekday: "long", day: "numeric", month: "long" };
    this.#time = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
    this.#full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" });
    this.#day = new Intl.DateTimeFormat(locale, day);
    this.#dayAndYear = new Intl.DateTimeFormat(locale, { ...day, year: "numeric" });
    this.#locale = locale;
  }

  /** Hours and minutes. */
  time(at) {
    return written(this.#time, at);
  }

  /** Date and time. */
  full(at) {
    return written(this.#full, at);
  }

  /** Date and time, in little room. */
  brief(at) {
    this.#brief ??= new Intl.DateTimeFormat(this.#locale, { dateStyle: "short", timeStyle: "short" });
    return written(this.#brief, at);
  }

  /** From one time to another. */
  span(from, to) {
    if ([from, to].some((at) => Number.isNaN(at.getTime()))) return "";
    this.#span ??= new Intl.DateTimeFormat(this.#locale, { dateStyle: "medium", timeStyle: "short" });
    return this.#span.formatRange(from, to);
  }

  /** The day, with its year if that is not this one. */
  day(at) {
    return written(at.getFullYear() === new Date().getFullYear() ? this.#day : this.#dayAndYear, at);
  }
}

/** Nothing for what is no time: the message with it is shown all the same. */
function written(format, at) {
  return Number.isNaN(at.getTime()) ? "" : format.format(at);
}
