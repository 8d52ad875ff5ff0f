/** The key in the state of a history entry that belongs to something which covers the page. */
const MARK = "livesupport";

/**
 * Lets the browser's Back button close what covers the page instead of leaving the page, as is usual on
 * phones. While it is open, the history has one more entry with the same address and state.
 */
export class BackCloses {
  #close;
  #address = ""; // the entry's address, if it is the current entry
  #leaving = false; // going back from it, because it was closed in another way
  #again = false; // opened again in the meantime

  /** @param {() => void} close is also called if it is closed already @param {AbortSignal} signal ends it */
  constructor(close, signal) {
    this.#close = close;
    if (marked(history.state)) this.#address = location.href; // after a reload
    addEventListener("popstate", (event) => this.#popped(event), { signal });
  }

  opened() {
    this.#again = this.#leaving;
    if (this.#address || this.#leaving || !markable(history.state)) return;
    try {
      history.pushState({ ...history.state, [MARK]: true }, "");
      this.#address = location.href;
    } catch {
      // some frames have no history, and some browsers limit its use
    }
  }

  closed() {
    this.#again = false;
    if (!this.#address || !marked(history.state) || this.#leaving) return;
    this.#leaving = true;
    history.back();
  }

  #popped(event) {
    const here = this.#address === location.href && !marked(event.state);
    this.#address = marked(event.state) ? location.href : "";
    const [leaving, again] = [this.#leaving, this.#again];
    this.#leaving = this.#again = false;
    if (!here) return;
    if (again) this.opened();
    else if (!leaving) this.#close();
  }
}

function marked(state) {
  return state?.[MARK] === true;
}

/** Returns whether a state of the page can have the mark. */
function markable(state) {
  return state === null || Object.getPrototypeOf(state) === Object.prototype;
}
