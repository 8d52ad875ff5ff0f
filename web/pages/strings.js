/**
 * The texts of the widget and the console. English is always there, and replaces a language that cannot be
 * loaded. Other languages are loaded when they are needed.
 */

import en from "./languages/en.js";
import { clearTimeout, setTimeout, tell } from "./native.js";

/** The languages besides English. Each has a file with this name. */
const LANGUAGES = ["ar", "de", "es", "fr", "he", "it", "ja", "ka", "nl", "pl", "pt", "ru", "tr", "uk", "zh"];
const RIGHT_TO_LEFT = ["ar", "he"];
/** How long the page waits for its language before it uses English, in ms. */
const PATIENCE = 4_000;

const folders = ["languages"];
const known = new Map([["en", en]]);
/** The promises of loading, by language; null when loading has ended. */
const coming = new Map([["en", null]]);

/**
 * Adds texts that only some pages need. Call it before the first `learn`.
 * @param {string} folder of the other languages' files
 * @param {Record<string, string|object>} english
 */
export function extend(folder, english) {
  folders.push(folder);
  known.set("en", { ...known.get("en"), ...english });
}

/**
 * Loads the texts of the first wanted language that exists.
 * @param {...(string|null|undefined)} wanted such as "ar-EG", "en"
 * @returns {Promise<void>|null} never rejects; null if there is nothing to wait for
 */
export function learn(...wanted) {
  const lang = wanted.map(primary).find((one) => one === "en" || LANGUAGES.includes(one)) ?? "en";
  if (!coming.has(lang)) coming.set(lang, load(lang));
  return coming.get(lang);
}

async function load(lang) {
  const parts = Promise.all(folders.map((folder) => import(`./${folder}/${lang}.js`)));
  const loaded = parts.then((modules) => known.set(lang, Object.assign({}, ...modules.map((one) => one.default))));
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("it takes too long")), PATIENCE);
  });
  try {
    await Promise.race([loaded, late]);
  } catch (error) {
    tell(`the words of the language "${lang}" cannot be had, so they are English: ${error.message}`);
  }
  clearTimeout(timer);
  coming.set(lang, null);
}

/** Matches text that runs from right to left. */
const RTL = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

const isolated = (text) => `\u2068${text}\u2069`;

/** Joins sentences. If the first one has another direction, a mark gives a paragraph with dir=auto the direction of the second. */
export function following(first, second) {
  if (!second || RTL.test(first) === RTL.test(second)) return `${first} ${second}`.trim();
  return `${RTL.test(second) ? "\u200f" : "\u200e"}${isolated(first)} ${second}`;
}

/**
 * Chooses the first wanted language whose texts are loaded.
 * @param {...(string|null|undefined)} wanted the same as for `learn`
 * @returns {{lang: string, dir: "ltr"|"rtl", t: (key: string, values?: object) => string}}
 */
export function speak(...wanted) {
  const lang = wanted.map(primary).find((one) => known.has(one)) ?? "en";
  const words = known.get(lang);
  const dir = RIGHT_TO_LEFT.includes(lang) ? "rtl" : "ltr";
  const numbers = new Intl.NumberFormat(readersLocale(lang));
  const plurals = new Intl.PluralRules(lang);
  const write = (value) => {
    if (typeof value === "number") return numbers.format(value);
    // Isolate values with another direction, so that they do not reorder the sentence.
    return dir === "ltr" && !RTL.test(value) ? value : isolated(value);
  };
  const t = (key, values = {}) => {
    const form = typeof words[key] === "string" ? words[key] : words[key][plurals.select(values.count)] ?? words[key].other;
    return form.replace(/\{(\w+)\}/g, (_, name) => write(values[name]));
  };
  return { lang, dir, t };
}

function primary(tag) {
  const one = (tag ?? "").toLowerCase().split("-")[0];
  return one === "iw" ? "he" : one; // the old code of Hebrew
}

/**
 * The locale for numbers, times and dates: the browser's variant of the page's language, such as en-GB, or
 * the page's language with the browser's region, such as en-DE.
 * @param {string} lang of the page
 */
export function readersLocale(lang) {
  const own = navigator.languages.find((one) => primary(one) === lang);
  if (own) return own;
  try {
    return new Intl.Locale(lang, { region: new Intl.Locale(navigator.language).maximize().region }).toString();
  } catch {
    return lang; // the browser names no language
  }
}

/** The text for an error code of the protocol. */
export function reason(t, code) {
  const known = ["bad_username", "unauthorized", "unreachable", "unavailable", "rate_limited", "expired", "too_large", "chat_full", "chat_closed", "already_taken", "released", "forbidden"];
  return t(known.includes(code) ? code : "other");
}
