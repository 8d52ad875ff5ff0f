import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const folder = new URL("./pages/", import.meta.url);
const source = (name) => readFileSync(new URL(name, folder), "utf8");
const scripts = (under) => readdirSync(new URL(under, folder)).filter((name) => name.endsWith(".js")).map((name) => name.replace(".js", ""));

// The widget's words, which are the console's, too, and those of the console alone.
const PARTS = ["languages", "languages/console"];
const langs = scripts("languages");
const words = {};
for (const part of PARTS) {
  words[part] = {};
  for (const lang of langs) {
    const found = scripts(part).includes(lang);
    words[part][lang] = found ? (await import(`./pages/${part}/${lang}.js`)).default : {};
  }
}
const each = PARTS.flatMap((part) => langs.map((lang) => [part, lang, words[part][lang], words[part].en]));
const english = { ...words.languages.en, ...words["languages/console"].en };

const names = scripts(".");
const code = Object.fromEntries(names.filter((name) => name !== "strings").map((name) => [name, source(`${name}.js`)]));
const all = Object.values(code).join("\n");
const literals = (text) => [...text.matchAll(/"(\w+)"/g)].map(([, word]) => word);
const reasons = literals(/const known = (\[.*?\]);/.exec(source("strings.js"))[1]);

/** The modules that one needs, with itself. */
function needs(first) {
  const found = new Set([first]);
  for (const name of found) for (const [, next] of (code[name] ?? "").matchAll(/"\.\/(\w+)\.js";/g)) found.add(next);
  return [...found];
}

const forms = (text) => (typeof text === "string" ? { other: text } : text);
const placeholders = (text) => new Set(text.match(/\{\w+\}/g) ?? []);
const categories = (lang) => new Intl.PluralRules(lang).resolvedOptions().pluralCategories;

test("the languages are those of the files", () => {
  const listed = literals(/const LANGUAGES = (\[[^]*?\]);/.exec(source("strings.js"))[1]);
  for (const part of PARTS) assert.deepEqual(["en", ...listed].sort(), scripts(part).sort(), part);
});

test("each language has each string, and no other", () => {
  for (const [part, lang, its, english] of each) assert.deepEqual(Object.keys(its), Object.keys(english), `${part}/${lang}.js`);
});

test("placeholders agree, but that a plural for one number may spell it out", () => {
  for (const [part, lang, its, english] of each) {
    for (const [key, text] of Object.entries(its)) {
      const want = placeholders(forms(english[key]).other);
      for (const [form, one] of Object.entries(forms(text))) {
        const has = placeholders(one);
        if (spellsOut(lang, form) && want.has("{count}")) has.add("{count}");
        assert.deepEqual([...has].sort(), [...want].sort(), `${part}/${lang}.js ${key} ${form}`);
      }
    }
  }
});

/** Whether a plural stands for one number alone: 21 is "one" in Russian, and 0 is in French. */
function spellsOut(lang, form) {
  const rules = new Intl.PluralRules(lang);
  let numbers = 0;
  for (let i = 0; i < 200; i++) if (rules.select(i) === form) numbers++;
  return numbers === 1;
}

test("a plural has each form of its language, and what depends on a number has a plural", () => {
  for (const [part, lang, its, english] of each) {
    for (const [key, text] of Object.entries(its)) {
      assert.equal(typeof text, typeof english[key], `${part}/${lang}.js ${key}`);
      if (typeof text !== "string") assert.deepEqual(Object.keys(text).sort(), categories(lang).sort(), `${part}/${lang}.js ${key}`);
    }
  }
});

test("nothing is empty, in another script than its language, or written as no type would be", () => {
  for (const [part, lang, its] of each) {
    for (const [key, text] of Object.entries(its)) {
      for (const one of Object.values(forms(text))) {
        const where = `${part}/${lang}.js ${key}: ${one}`;
        assert.match(one, /\S/, where);
        assert.doesNotMatch(one, /^\s|\s$| {2}|\.\.\.|[<>\u2066-\u2069]|\{(?!\w+\})|'/, where);
      }
    }
  }
});

test("no string is unused, or wanted and not there", () => {
  const used = new Set([...literals(all), ...reasons, ...[...all.matchAll(/\breply\d\b/g)].map(([word]) => word), "other"]);
  assert.deepEqual(Object.keys(english).filter((key) => !used.has(key)), []);
  for (const [, key] of all.matchAll(/\bt\("(\w+)"/g)) assert.ok(key in english, key);
});

// Words of the console that are something else in the widget: states, events and the like.
const OTHERS = ["close", "leave", "nobody", "none", "queue", "rated"];

test("the widget has its words without the console's", () => {
  const protocol = needs("client");
  const widget = needs("shell").filter((name) => code[name] && !protocol.includes(name));
  assert.ok(widget.includes("visitor") && !widget.includes("agent"));
  const alone = Object.keys(words["languages/console"].en).filter((key) => !OTHERS.includes(key));
  for (const name of widget) {
    assert.deepEqual(literals(code[name]).filter((word) => alone.includes(word)), [], `${name}.js`);
    for (const [, key] of code[name].matchAll(/\bt\("(\w+)"/g)) assert.ok(key in words.languages.en, `${name}.js: ${key}`);
  }
  for (const key of reasons) assert.ok(key in words.languages.en, key);
});

test("numbers have their forms, and are written as the reader does", async () => {
  Object.defineProperty(globalThis, "navigator", { value: { language: "xx", languages: ["xx"] }, configurable: true });
  const { learn, speak } = await import("./pages/strings.js");
  assert.equal(learn("xx", null, undefined, "en-GB"), null, "English is there");
  for (const [lang, ...said] of [
    ["en", [1, "1 star"], [2, "2 stars"], [1234, "1,234 stars"]],
    ["pl", [1, "1 gwiazdka"], [2, "2 gwiazdki"], [5, "5 gwiazdek"], [12, "12 gwiazdek"], [22, "22 gwiazdki"]],
    ["ru", [1, "1 звезда"], [3, "3 звезды"], [5, "5 звёзд"], [11, "11 звёзд"], [21, "21 звезда"]],
    ["uk", [1, "1 зірка"], [4, "4 зірки"], [5, "5 зірок"], [14, "14 зірок"], [101, "101 зірка"]],
    ["ar", [1, "نجمة واحدة"], [2, "نجمتان"], [3, "3 نجوم"], [11, "11 نجمة"]],
    ["he", [1, "כוכב אחד"], [2, "שני כוכבים"], [3, "3 כוכבים"]],
    ["fr", [0, "0 étoile"], [1, "1 étoile"], [2, "2 étoiles"]],
    ["ja", [1, "星 1 つ"], [5, "星 5 つ"]],
  ]) {
    await learn(lang);
    const { t, lang: spoken, dir } = speak(`${lang}-XX`);
    assert.equal(spoken, lang);
    assert.equal(dir, ["ar", "he"].includes(lang) ? "rtl" : "ltr");
    for (const [count, want] of said) {
      const plain = t("stars", { count }).replace(/[٠-٩]/g, (digit) => "٠١٢٣٤٥٦٧٨٩".indexOf(digit));
      assert.equal(plain, want, `${lang} ${count}`);
    }
  }
  assert.equal(speak("xx").lang, "en");
});
