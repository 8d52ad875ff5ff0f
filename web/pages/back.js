/** In the state of an entry of the history: what it opened covers the page. */
const MARK = "livesupport";

/**
 * Lets the browser's Back close what covers the page, as it does on phones everywhere, instead of
 * leaving the page. For this an entry with the same address and state is put into the history while
 * it is open.
 */
export class BackCloses {
  #close;
  #address = ""; // of the entry, if it is the present one
  #leaving = false; // on the way back from it, because it was closed otherwise
  #again = false; // opened again meanwhile

  /** @param {() => void} close may be called also if it is closed @param {AbortSignal} signal ends it */
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
      // some frames have no history, and some browsers limit it
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

/** Another state than an object could not be kept. */
function markable(state) {
  return state === null || Object.getPrototypeOf(state) === Object.prototype;
}
