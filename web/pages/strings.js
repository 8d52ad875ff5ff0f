/**
 * What the widget and the console say. English is here from the start, and stands in for a language
 * that cannot be had; the words of another one are loaded once they are wanted.
 */

import en from "./languages/en.js";
import { clearTimeout, setTimeout, tell } from "./native.js";

/** Those that there are beside English, each with a file of this name. */
const LANGUAGES = ["ar", "de", "es", "fr", "he", "it", "ja", "ka", "nl", "pl", "pt", "ru", "tr", "uk", "zh"];
const RIGHT_TO_LEFT = ["ar", "he"];
/** So long, in ms, the page waits for its words before it says them in English. */
const PATIENCE = 4_000;

const folders = ["languages"];
const known = new Map([["en", en]]);
/** By language: what brings its words, or null once there is nothing to wait for. */
const coming = new Map([["en", null]]);

/**
 * Adds words that not each page needs. To be called before the first `learn`.
 * @param {string} folder where the other languages have them
 * @param {Record<string, string|object>} english
 */
export function extend(folder, english) {
  folders.push(folder);
  known.set("en", { ...known.get("en"), ...english });
}

/**
 * Loads the words of the first of the wanted languages that there is.
 * @param {...(string|null|undefined)} wanted such as "ar-EG", "en"
 * @returns {Promise<void>|null} what never fails; null if there is nothing to wait for
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

/** Text that runs from right to left. */
const RTL = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

const isolated = (text) => `\u2068${text}\u2069`;

/** Sentences one after another. Where the first runs the other way, a mark has a paragraph of dir=auto run as the second. */
export function following(first, second) {
  if (!second || RTL.test(first) === RTL.test(second)) return `${first} ${second}`.trim();
  return `${RTL.test(second) ? "\u200f" : "\u200e"}${isolated(first)} ${second}`;
}

/**
 * Chooses the first of the wanted languages whose words are here.
 * @param {...(string|null|undefined)} wanted as `learn` has got them
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
    // What runs the other way must not pull the sentence around it apart.
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
  return one === "iw" ? "he" : one; // as some still call it
}

/**
 * How the reader writes numbers, times and dates: the browser's own form of the page's language, such
 * as en-GB, or the page's language in the browser's region: en-DE.
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

/** The sentence for a code of the protocol. */
export function reason(t, code) {
  const known = ["bad_username", "unauthorized", "unreachable", "unavailable", "rate_limited", "expired", "too_large", "chat_full", "chat_closed", "already_taken", "released", "forbidden"];
  return t(known.includes(code) ? code : "other");
}
