import { readersLocale } from "./strings.js";

/** Times and dates as the reader writes them, in the reader's time zone. */
export class Moments {
  #time;
  #full;
  #day;
  #dayAndYear;

  /** @param {string} lang of the page */
  constructor(lang) {
    const locale = readersLocale(lang);
    const day = { weekday: "long", day: "numeric", month: "long" };
    this.#time = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
    this.#full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" });
    this.#day = new Intl.DateTimeFormat(locale, day);
    this.#dayAndYear = new Intl.DateTimeFormat(locale, { ...day, year: "numeric" });
  }

  /** Hours and minutes. */
  time(at) {
    return written(this.#time, at);
  }

  /** Date and time. */
  full(at) {
    return written(this.#full, at);
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
