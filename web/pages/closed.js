import { h, write } from "./dom.js";
import { reason } from "./strings.js";

/** Explains why the archive and the reports are not available, in their place. */
export class Closed {
  #session;
  #t;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string) => string} t
   */
  constructor(session, t) {
    this.#session = session;
    this.#t = t;
    this.words = h("p", { role: "status" });
    this.element = h("div", { class: "idle" }, this.words);
  }

  update() {
    const { access } = this.#session.archive;
    this.element.hidden = access === "open";
    write(this.words, access === "open" ? "" : this.#t(whyNot(this.#session)));
  }
}

/** The explanation for an archive that is not shown. @param {import("./session.js").Session} session */
export function whyNot({ archive: { access }, needsToken }) {
  if (access === "unknown") return "archiveLoading";
  if (access === "none") return "archiveNone";
  return needsToken ? "stateClosed" : "archiveLocal";
}

/** The explanation for a failed request to the archive. @param {string} code */
export function failure(t, code) {
  if (code === "not_found") return t("archiveGone");
  return code === "unavailable" ? t("archiveAway") : reason(t, code);
}
