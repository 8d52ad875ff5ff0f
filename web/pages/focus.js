/**
 * Looks after the keyboard's place in the page: when what has the focus goes away, browsers let it
 * fall to the body, and whoever works without a mouse begins at the top. A focus that the agent has
 * taken away by hand stays away.
 */
export class Focus {
  #last = null;
  #place = null;
  #placeOf;
  #lost;

  /**
   * @template Place
   * @param {(element: Element) => Place} placeOf is asked when an element gets the focus
   * @param {(place: Place) => void} lost is called with what it has said, to find another place
   */
  constructor(placeOf, lost) {
    this.#placeOf = placeOf;
    this.#lost = lost;
    document.addEventListener("focusin", ({ target }) => {
      this.#last = target;
      this.#place = this.#placeOf(target);
    });
    document.addEventListener("focusout", () => setTimeout(() => this.keep()));
  }

  /** Finds another place if the last one is gone. */
  keep() {
    const last = this.#last;
    const now = document.activeElement ?? document.body;
    if (!last || isShown(last) || (now !== document.body && isShown(now))) return;
    this.#last = null;
    this.#lost(this.#place);
  }
}

/** Whether an element can be seen, and so have the focus. */
export function isShown(element) {
  return element.isConnected && element.getClientRects().length > 0;
}
