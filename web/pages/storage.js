/** What the pages remember. Storage may be switched off or full: then a reload starts afresh. */

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
      return JSON.parse(this.#area.getItem(this.#prefix + name));
    } catch {
      return null;
    }
  }

  /** Stores a value; null forgets it. */
  set(name, value) {
    try {
      if (value === null) this.#area.removeItem(this.#prefix + name);
      else this.#area.setItem(this.#prefix + name, JSON.stringify(value));
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

  /** Calls back with the value when another tab has changed it. */
  watch(name, changed) {
    addEventListener("storage", ({ key, storageArea }) => {
      if (storageArea === this.#area && key === this.#prefix + name) changed(this.get(name));
    });
  }
}

/** Shared by all tabs, for good. */
export const shared = (prefix) => new Store(() => localStorage, prefix);
/** Of this tab, over reloads. */
export const ofTab = (prefix) => new Store(() => sessionStorage, prefix);

const page = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16)).join("");

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
