import { readersLocale } from "./strings.js";

/** Formats times and dates in the reader's language and time zone. */
export class Moments {
  #time;
  #full;
  #day;
  #dayAndYear;
  #locale;
  #brief; // created when needed: the widget does not need these two
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

  /** Date and time in a short form. */
  brief(at) {
    this.#brief ??= new Intl.DateTimeFormat(this.#locale, { dateStyle: "short", timeStyle: "short" });
    return written(this.#brief, at);
  }

  /** A range of times. */
  span(from, to) {
    if ([from, to].some((at) => Number.isNaN(at.getTime()))) return "";
    this.#span ??= new Intl.DateTimeFormat(this.#locale, { dateStyle: "medium", timeStyle: "short" });
    return this.#span.formatRange(from, to);
  }

  /** The day, with the year unless it is the current one. */
  day(at) {
    return written(at.getFullYear() === new Date().getFullYear() ? this.#day : this.#dayAndYear, at);
  }
}

/** Returns "" for an invalid time, so that the message is shown all the same. */
function written(format, at) {
  return Number.isNaN(at.getTime()) ? "" : format.format(at);
}
