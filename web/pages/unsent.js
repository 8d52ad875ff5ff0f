import { h } from "./dom.js";
import { said } from "./said.js";
import { reason } from "./strings.js";

/** The messages of a chat that have no receipt yet. */
export class Unsent {
  #t;
  #sizes;
  #acted;

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {import("./attachments.js").Sizes} sizes
   * @param {() => void} acted the user has decided what to do with a message
   */
  constructor(t, sizes, acted) {
    this.#t = t;
    this.#sizes = sizes;
    this.#acted = acted;
    this.element = h("ol", { class: "outbox" });
  }

  /**
   * What stays the same stays in the page, so that nothing is read out twice.
   * @param {import("./client.js").Chat} chat
   * @param {import("./client.js").Outgoing[]} unsent
   * @param {boolean} over the chat takes no more messages
   */
  show(chat, unsent, over) {
    const keys = unsent.map(({ messageId, problem }) => `${messageId} ${problem ?? chat.state} ${over}`);
    for (const item of [...this.element.children]) {
      if (!keys.includes(item.dataset.key)) item.remove();
    }
    let next = this.element.firstElementChild;
    for (const [i, key] of keys.entries()) {
      if (next?.dataset.key === key) next = next.nextElementSibling;
      else this.element.insertBefore(this.#item(chat, unsent[i], key, over), next);
    }
  }

  #item(chat, message, key, over) {
    const t = this.#t;
    const { messageId } = message;
    const problem = message.problem || (over ? chat.problem : "");
    const item = h("li", { class: `message own ${problem ? "refused" : "pending"}`, dataset: { key } }, ...said(t, this.#sizes, chat, message));
    if (!problem) {
      item.append(h("p", { class: "fate" }, t(["offline", "closed"].includes(chat.state) ? "unsentOffline" : "sending")));
      return item;
    }
    const gone = problem === "not_found"; // one of its files
    const fate = h("p", { class: "fate", role: "alert" }, t("notSent", { reason: gone ? t("fileGone") : reason(t, problem) }));
    const act = (words, does) => fate.append(" ", h("button", { type: "button", class: "link", onclick: () => {
      does();
      this.#acted(); // the button is gone
    } }, t(words)));
    if (!over && !gone) act("tryAgain", () => chat.retry(messageId));
    if (!over) act("discard", () => chat.discard(messageId));
    item.append(fate);
    return item;
  }
}
