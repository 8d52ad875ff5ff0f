/**
 * Keeps the keyboard focus in the page. When the focused element disappears, browsers move the focus to
 * the body, and somebody without a mouse has to start at the top. A focus that the agent has removed stays
 * removed.
 */
export class Focus {
  #last = null;
  #place = null;
  #placeOf;
  #lost;

  /**
   * @template Place
   * @param {(element: Element) => Place} placeOf is called when an element gets the focus
   * @param {(place: Place) => void} lost is called with its result, to focus another element
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

  /** Finds another place if the last one has disappeared. */
  keep() {
    const last = this.#last;
    const now = document.activeElement ?? document.body;
    if (!last || isShown(last) || (now !== document.body && isShown(now))) return;
    this.#last = null;
    this.#lost(this.#place);
  }
}

/** Returns whether an element is visible, so that it can have the focus. */
export function isShown(element) {
  return element.isConnected && element.getClientRects().length > 0;
}
