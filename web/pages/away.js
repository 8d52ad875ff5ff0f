import { following, readersLocale } from "./strings.js";

const DAY = 24 * 60 * 60_000;
/** From this many days on, a weekday alone is ambiguous. */
const WEEK = 6;

/**
 * What the widget does while nobody can answer.
 * @typedef {object} Plan
 * @property {boolean} hides the button is hidden
 * @property {boolean} waits the visitor can start a chat and wait in it
 * @property {boolean} leaves the visitor can leave a message
 * @property {boolean} leavesFirst the form for that comes first
 * @property {string} words the text in place of the greeting, "" if an agent is available
 */

/**
 * @param {(key: string, values?: object) => string} t
 * @param {import("./availability.js").Availability} availability
 * @param {string} when what the site wants while no agent is available: `wait`, `form` or `hide`;
 *        "" means to wait while it is open, and the form while it is closed
 * @param {string} language the visitor's, for the site's own words
 * @param {string} lang the page's, for the time
 * @param {number} [now] in ms
 * @returns {Plan}
 */
export function planFor(t, { status, state }, when, language, lang, now = Date.now()) {
  if (state === "" || state === "open") return { hides: false, waits: true, leaves: false, leavesFirst: false, words: "" };
  const closed = state === "closed";
  const leaves = status.messages === true;
  const waits = when === "wait" || (!closed && (when !== "form" || !leaves));
  const own = inLanguage(status.away, language);
  const words = [own || t(closed ? "closedNow" : "nobodyFree")];
  if (closed) words[0] = following(words[0], openingWords(t, status.opens, lang, now));
  else if (!own) words.push(t(!leaves ? "waitHere" : waits ? "waitOrLeave" : "leaveHere"));
  if (closed && !own && leaves) words.push(t("leaveHere"));
  return { hides: when === "hide", waits, leaves, leavesFirst: leaves && !(waits && (when === "wait" || !closed)), words: words.filter(Boolean).join(" ") };
}

/** The opening time, in the reader's language. */
function openingWords(t, opens, lang, now) {
  const at = new Date(opens ?? NaN);
  if (Number.isNaN(at.getTime()) || at.getTime() <= now) return "";
  const format = (options) => new Intl.DateTimeFormat(readersLocale(lang), options).format(at);
  const time = format({ hour: "numeric", minute: "2-digit" });
  const days = daysUntil(at, new Date(now));
  if (days <= 1) return t(days ? "opensTomorrow" : "opensToday", { time });
  const date = days > WEEK ? { day: "numeric", month: "long" } : {};
  return t("opensOn", { day: format({ weekday: "long", ...date }), time });
}

/** Counts days of the reader's calendar, some of which have 23 or 25 hours. */
function daysUntil(at, now) {
  const day = (one) => Date.UTC(one.getFullYear(), one.getMonth(), one.getDate()) / DAY;
  return day(at) - day(now);
}

/**
 * The site's text in a language, or else in English, or else in any. The server chooses it in the same way.
 * @param {Record<string, string>} [texts] by language
 * @param {string} language
 */
export function inLanguage(texts = {}, language) {
  for (const tag of [language, language.split("-")[0], "en", ...Object.keys(texts).sort()]) {
    if (Object.hasOwn(texts, tag)) return texts[tag];
  }
  return "";
}
