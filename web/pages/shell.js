import { bound } from "./boundary.js";
import { subjectIn } from "./client.js";
import { aborter, fetch, stringify, tell } from "./native.js";
import { ofTab, prefix, shared, signedIn } from "./storage.js";
import { learn, speak } from "./strings.js";
import { Widget } from "./visitor.js";

/** If a page removes the widget more often than this within so many ms, the widget stays away. */
const FIGHT = { times: 10, within: 10_000 };
/** The page's custom properties for the position of the button. */
const OFFSETS = { bottom: "--livesupport-bottom", side: "--livesupport-side" };

/**
 * Puts the chat button on a page. The page does not affect the widget. The widget changes nothing of the
 * page except the title, while messages are unread.
 *
 * @typedef {{title?: string, greeting?: string, colour?: string, color?: string, position?: string,
 *            bottom?: string, side?: string, language?: string, name?: string, token?: string,
 *            whenAway?: string}} Options
 *          the data attributes of the pasted line
 * @typedef {{ttl: number, preview: boolean}} Site ttl: how long a chat lives without a message, in ms;
 *          preview: agents see what visitors type
 * @param {string} base the chat server's URL
 * @param {Site} site
 * @param {{script: HTMLScriptElement|undefined, options: Options}[]} lines the lines that have run
 */
export async function start(base, site, lines) {
  const coming = ["chat.css", "visitor.css"].map(async (name) => {
    const response = await fetch(new URL(name, import.meta.url).href);
    if (!response.ok) throw new Error(`${name}: ${response.status}`);
    return response.text();
  });
  for (const one of coming) one.catch(() => {}); // each is awaited below
  const words = learn(...wanted(lines[0].options));
  const sheets = [];
  for (const text of coming) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(await text);
    sheets.push(sheet);
  }
  await words;
  const shell = new Shell(base, site, sheets);
  const before = (a, b) => (a.script && b.script && a.script.compareDocumentPosition(b.script) & Node.DOCUMENT_POSITION_PRECEDING ? 1 : -1);
  for (const line of lines.splice(0).sort(before)) shell.line(line); // asynchronous scripts run in any order
  lines.push = (line) => shell.line(line);
}

/** The languages to try, best first. @param {Options} options */
function wanted({ language }) {
  return [language, document.documentElement.lang, ...navigator.languages];
}

/** Keeps one widget in the page, whatever the page does to its document. */
class Shell {
  #base;
  #site;
  #sheets;
  #host = null;
  #root = null; // the page's html element
  #life = null; // the life of the widget, which begins before its words are loaded
  #widget = null;
  #options = {};
  #script;
  #address = "";
  #watch = new MutationObserver(() => this.#keep());
  #tokens = new MutationObserver(() => this.#show({ ...this.#options, token: this.#script.dataset.token }));
  #removals = [];

  constructor(base, site, sheets) {
    this.#base = base;
    this.#site = site;
    this.#sheets = sheets;
  }

  /**
   * A line has run. Within a page the first one counts, except for the token, which may come later. After a
   * navigation within the document, the line of the next page counts.
   */
  line({ script, options }) {
    const address = location.href.split("#")[0];
    const again = this.#life && address === this.#address && (this.#script?.isConnected ?? true);
    if (again && !options.token) return this.#keep();
    this.#address = address;
    this.#script = script ?? this.#script;
    this.#tokens.disconnect();
    if (script) this.#tokens.observe(script, { attributeFilter: ["data-token"] });
    this.#show(again ? { ...this.#options, token: options.token } : options);
  }

  #show(options) {
    const sorted = (all) => stringify(Object.entries(all).sort());
    const same = this.#life && sorted(options) === sorted(this.#options);
    this.#options = options;
    if (same) return this.#keep();
    const person = options.token && subjectIn(options.token);
    if (person) for (const area of [shared, ofTab]) signedIn(area(prefix(this.#base)), person);
    this.#begin();
  }

  /** Creates a widget with these options in the present document. */
  #begin() {
    this.#end();
    this.#life = aborter();
    const { signal } = this.#life;
    const words = learn(...wanted(this.#options));
    if (words) words.then(() => !signal.aborted && this.#appear(signal));
    else this.#appear(signal);
  }

  #appear(signal) {
    if (!this.#host) {
      this.#host = document.createElement("livesupport-chat");
      this.#host.attachShadow({ mode: "open" }).adoptedStyleSheets = this.#sheets; // a style element would need permission from the page's CSP
    }
    bound(this.#host.shadowRoot, signal);
    addEventListener("resize", () => this.#place(), { signal });
    this.#widget = new Widget(this.#base, this.#options, this.#site, speak(...wanted(this.#options)), () => this.#begin());
    this.#host.shadowRoot.replaceChildren(this.#widget.element);
    this.#insert();
  }

  #end() {
    this.#life?.abort();
    this.#life = null;
    this.#widget?.end();
    this.#widget = null;
  }

  /** Puts the widget back if the page has replaced its body, its html element or their content. */
  #keep() {
    if (!this.#widget || !document.documentElement) return;
    if (this.#root !== document.documentElement) return this.#begin(); // its listeners are gone, too
    if (this.#host.parentNode === this.#root) return;
    const now = Date.now();
    this.#removals = [...this.#removals.filter((at) => now - at < FIGHT.within), now];
    if (this.#removals.length > FIGHT.times) {
      tell("this page removes the chat again and again, so it stays away.");
      return this.#end();
    }
    this.#insert();
  }

  /** Adds the host beside the body, so that a page which moves, filters, hides or replaces the body does not affect it. */
  #insert() {
    this.#root = document.documentElement;
    for (const one of document.querySelectorAll("livesupport-chat")) if (one !== this.#host) one.remove(); // copies, without content
    this.#root.append(this.#host);
    this.#watch.disconnect();
    this.#watch.observe(document, { childList: true });
    this.#watch.observe(this.#root, { childList: true });
    this.#place();
  }

  /** Places the host in the corner of the window, with the browser's own font size. */
  #place() {
    const host = this.#host;
    const { style } = this.#widget.element;
    const page = getComputedStyle(host);
    style.setProperty("--rem", page.fontSize); // the user's setting: the page's root may have any size
    const zoom = Number(getComputedStyle(this.#root).zoom) || 1;
    style.setProperty("zoom", zoom === 1 ? "" : String(1 / zoom));
    for (const [name, property] of Object.entries(OFFSETS)) {
      const own = this.#options[name] ?? "";
      const wanted = page.getPropertyValue(property).trim();
      for (const [what, value] of [[`data-${name}`, own], [property, wanted]]) {
        if (value && !CSS.supports("bottom", value)) tell(`${what} is no length: ${value}`);
      }
      style.setProperty(`--data-${name}`, CSS.supports("bottom", own) ? own : "initial");
      style.setProperty(property, !wanted || CSS.supports("bottom", wanted) ? "" : "initial");
    }
    // If the host is not at the edge of the window, the html element has a transform or the like.
    if (Math.abs(host.getBoundingClientRect().bottom - innerHeight) > 40 && host.showPopover && !host.matches(":popover-open")) {
      host.popover = "manual";
      host.showPopover();
    }
  }
}
