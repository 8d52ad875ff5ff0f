/** What the pages remember. Storage may be switched off or full: then a reload starts afresh. */

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

  /** The names that begin with start. */
  names(start) {
    try {
      const begin = this.#prefix + start;
      return Object.keys(this.#area).filter((key) => key.startsWith(begin)).map((key) => key.slice(this.#prefix.length));
    } catch {
      return [];
    }
  }

  /** Calls back with the value when another tab has changed it, until the signal comes if there is one. */
  watch(name, changed, signal) {
    addEventListener("storage", ({ key, storageArea }) => {
      if (storageArea === this.#area && key === this.#prefix + name) changed(this.get(name));
    }, { signal });
  }

  /** A part of it, whose names are its own. */
  within(start) {
    return new Store(() => this.#area, this.#prefix + start);
  }
}

/** Where the widget's names begin. @param {string} base the chat server's URL */
export const prefix = (base) => `livesupport ${base} `;

/** Shared by all tabs, for good. */
export const shared = (prefix) => new Store(() => localStorage, prefix);
/** Of this tab, over reloads. */
export const ofTab = (prefix) => new Store(() => sessionStorage, prefix);

/** What a store has for everybody: a matter of the browser, not of a person. */
const OF_ALL = ["mute", "open", "person"];

/** What is remembered of one person; of nobody in particular if they are not known. */
export const ofPerson = (store, person) => (person ? store.within(part(person)) : store);

const part = (person) => `@${encodeURIComponent(person)} `;

/**
 * Somebody has signed in. What earlier persons have left is forgotten; an anonymous chat becomes
 * theirs, unless they have one already.
 * @param {Store} store what is remembered of nobody in particular
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
 * A chat's unsent messages. Each page writes a list of its own, and takes over the lists that it
 * finds at its start. Some may be of tabs that are still there: then two tabs send the same
 * messages, which count once because of their messageId.
 */
export class Outbox {
  /** @param {Store} store @param {string} chatId */
  constructor(store, chatId) {
    this.store = store;
    this.start = `outbox.${chatId}.`;
  }

  /** Takes over what earlier pages have left. */
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
