/** What the pages remember. If storage is switched off or full, a reload starts afresh. */

import { parse, randomHex, stringify } from "./native.js";

/** A store of JSON values whose names begin with a prefix. */
class Store {
  #area;
  #prefix;

  /** @param {() => Storage} area may throw @param {string} prefix */
  constructor(area, prefix) {
    try {
      this.#area = area();
    } catch {
      this.#area = null;
    }
    this.#prefix = prefix;
  }

  /** @returns the value, or null */
  get(name) {
    try {
      return parse(this.#area.getItem(this.#prefix + name));
    } catch {
      return null;
    }
  }

  /** Stores a value; null forgets it. */
  set(name, value) {
    try {
      if (value === null) this.#area.removeItem(this.#prefix + name);
      else this.#area.setItem(this.#prefix + name, stringify(value));
    } catch {
      // see above
    }
  }

  /** The names with this beginning. */
  names(start) {
    try {
      const begin = this.#prefix + start;
      return Object.keys(this.#area).filter((key) => key.startsWith(begin)).map((key) => key.slice(this.#prefix.length));
    } catch {
      return [];
    }
  }

  /** Calls back with the value when another tab has changed it, until the signal. */
  watch(name, changed, signal) {
    addEventListener("storage", ({ key, storageArea }) => {
      if (storageArea === this.#area && key === this.#prefix + name) changed(this.get(name));
    }, { signal });
  }

  /** A part of the store, with its own names. */
  within(start) {
    return new Store(() => this.#area, this.#prefix + start);
  }
}

/** The prefix of the widget's names. @param {string} base the chat server's URL */
export const prefix = (base) => `livesupport ${base} `;

/** A store for all tabs, permanently. */
export const shared = (prefix) => new Store(() => localStorage, prefix);
/** A store for this tab, which survives a reload. */
export const ofTab = (prefix) => new Store(() => sessionStorage, prefix);

/** The part of a store that belongs to the browser, not to a person. */
const OF_ALL = ["mute", "open", "person"];

/** The part of a store for one person, or for an anonymous visitor. */
export const ofPerson = (store, person) => (person ? store.within(part(person)) : store);

const part = (person) => `@${encodeURIComponent(person)} `;

/**
 * Somebody has signed in. Forgets what earlier persons have left. An anonymous chat becomes theirs, unless
 * they already have one.
 * @param {Store} store the part for an anonymous visitor
 * @param {string} person
 */
export function signedIn(store, person) {
  const own = ofPerson(store, person);
  const has = own.get("chat") !== null;
  for (const name of store.names("")) {
    if (name.startsWith(part(person)) || OF_ALL.includes(name)) continue;
    if (!name.startsWith("@")) {
      if (has) continue;
      own.set(name, store.get(name));
    }
    store.set(name, null);
  }
  store.set("person", person);
}

const page = randomHex(8);

/**
 * A chat's unsent messages. Each page writes its own list, and takes over the lists that it finds at its
 * start. If the tab of such a list is still open, two tabs send the same messages, which count once because
 * of their messageId.
 */
export class Outbox {
  /** @param {Store} store @param {string} chatId */
  constructor(store, chatId) {
    this.store = store;
    this.start = `outbox.${chatId}.`;
  }

  /** Takes over the lists of earlier pages. */
  load() {
    const found = new Map();
    for (const name of this.store.names(this.start)) {
      for (const entry of this.store.get(name) ?? []) found.set(entry.messageId, entry);
      this.store.set(name, null);
    }
    const entries = [...found.values()];
    this.save(entries);
    return entries;
  }

  save(entries) {
    this.store.set(this.start + page, entries.length ? entries : null);
  }
}
