import { h, write } from "./dom.js";

/** Shows what is known about a visitor: the page they are on, and what the site has told. */
export class Facts {
  #t;
  #languages;
  #session;
  #shown = "";

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {import("./session.js").Session} session has the site's questions
   */
  constructor(t, lang, session) {
    this.#t = t;
    this.#session = session;
    this.#languages = new Intl.DisplayNames(lang, { type: "language", fallback: "code" });
    this.page = h("p", { class: "page-of", hidden: true });
    this.list = h("dl");
    this.more = h("details", { hidden: true }, h("summary", {}, t("details")), this.list);
    this.element = h("div", { class: "facts", hidden: true }, this.page, this.more);
  }

  /** @param {import("./client.js").User} user */
  update({ details = {} }) {
    const { questions } = this.#session;
    const now = JSON.stringify([details, [...questions.values()]]);
    if (now === this.#shown) return; // so what was expanded stays expanded
    this.#shown = now;
    const { page, referrer, language, fields = {} } = details;
    this.page.hidden = !page;
    this.page.replaceChildren(...(page ? [h("span", { class: "unseen" }, this.#t("onPage"), " "), address(page)] : []));
    const rows = [["cameFrom", referrer && address(referrer)], ["speaks", language && this.#language(language)]]
      .filter(([, value]) => value).map(([key, value]) => [this.#t(key), value]);
    const consented = details.consent === true || (fields.consent === "true" && !questions.has("consent"));
    for (const id of new Set([...questions.keys(), ...Object.keys(fields)])) { // in the order of the site's questions
      const value = fields[id];
      if (!value || (id === "consent" && consented)) continue;
      const { label = id, kind } = questions.get(id) ?? {};
      rows.push([label, kind === "checkbox" && value === "true" ? this.#t("yes") : value]);
    }
    if (consented) rows.push([this.#t("consented"), this.#t("yes")]);
    this.more.hidden = rows.length === 0;
    this.element.hidden = this.page.hidden && this.more.hidden;
    this.list.replaceChildren(...rows.map(([name, value]) =>
      h("div", {}, h("dt", { dir: "auto" }, name), h("dd", { dir: "auto" }, value))));
  }

  #language(tag) {
    try {
      return this.#languages.of(tag);
    } catch {
      return tag; // not a language tag
    }
  }
}

/** A web address as a link with its host and path. Any other text stays as it is. */
function address(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    return h("span", { dir: "ltr" }, text);
  }
  const short = `${url.host}${url.pathname === "/" ? "" : decoded(url.pathname)}`;
  if (!/^https?:$/.test(url.protocol)) return h("span", { dir: "ltr" }, text);
  return h("a", { href: url.href, title: url.href, target: "_blank", rel: "noopener noreferrer nofollow ugc", dir: "ltr" }, short);
}

/** Decodes a path, unless it has characters that are invisible or change the direction of text. */
function decoded(path) {
  try {
    const plain = decodeURI(path);
    return /[\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Cc}\s]/u.test(plain) ? path : plain;
  } catch {
    return path;
  }
}

/** A visitor's team. */
export function teamMark() {
  return h("p", { class: "team-of", dir: "auto", hidden: true });
}

export function showTeam(element, team) {
  element.hidden = !team;
  write(element, team);
}
