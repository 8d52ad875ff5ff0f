import { h, icon } from "./dom.js";
import { readersLocale } from "./strings.js";

/** Types that browsers show as pictures, and the server allows to be shown. */
const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/** Short names for types whose own names are long or little known. */
const KINDS = { "text/plain": "TXT", "image/webp": "WebP", "image/svg+xml": "SVG", "application/zip": "ZIP", "application/gzip": "GZIP", "application/x-7z-compressed": "7Z" };
/** Names for the long types of Office documents, by their last part. */
const OFFICE = { "wordprocessingml.document": "DOCX", "spreadsheetml.sheet": "XLSX", "presentationml.presentation": "PPTX" };

/** Formats sizes and percentages in the reader's language. */
export class Sizes {
  #units;
  #percent;

  /** @param {string} lang of the page */
  constructor(lang) {
    const format = (unit, maximumFractionDigits, unitDisplay = "short") => new Intl.NumberFormat(readersLocale(lang), { style: "unit", unit, unitDisplay, maximumFractionDigits });
    this.#units = [[2 ** 20, format("megabyte", 1)], [2 ** 10, format("kilobyte", 0)], [1, format("byte", 0, "long")]];
    this.#percent = new Intl.NumberFormat(readersLocale(lang), { style: "percent" });
  }

  /** @param {number} size in bytes */
  text(size) {
    const [unit, format] = this.#units.find(([least]) => size >= least) ?? this.#units.at(-1);
    return format.format(size / unit);
  }

  /** @param {number} part 0 to 1 */
  part(part) {
    return this.#percent.format(part);
  }
}

/** The name of a type. @param {string} type */
export function kindName(type) {
  if (KINDS[type]) return KINDS[type];
  for (const [end, name] of Object.entries(OFFICE)) if (type.endsWith(end)) return name;
  const [, own = ""] = type.split("/");
  return own.length > 1 && own.length < 8 ? own.toUpperCase() : type;
}

/** Returns whether a file is shown as a picture. */
export const isPicture = ({ type }) => PICTURES.includes(type);

/** A message as plain text, with the names of its files. @param {import("./client.js").Message} message */
export function wordsOf({ content, files = [] }) {
  return [content, ...files.map(({ name }) => name)].filter(Boolean).join(" · ");
}

/**
 * The files of a message. Pictures are shown, all of one size, so that nothing moves when they load;
 * other files have their name, type and size. Each links to the whole file, in a new window.
 * @param {(key: string, values?: object) => string} t
 * @param {Sizes} sizes
 * @param {import("./client.js").Chat} chat
 * @param {import("./client.js").Message} message
 */
export function attachments(t, sizes, chat, { files }) {
  return h("ul", { class: "attachments" }, ...files.map((file) => h("li", {}, attachment(t, sizes, chat.addressOf(file), file))));
}

function attachment(t, sizes, address, file) {
  if (!address) return h("span", { class: "document" }, icon("file"), about(sizes, file));
  if (!isPicture(file)) return h("a", { class: "document", title: file.name, ...leads(address) }, icon("file"), about(sizes, file));
  const words = t("picture", { name: file.name });
  const picture = h("img", { alt: words, loading: "lazy", decoding: "async", draggable: false });
  const link = h("a", { class: "picture", title: file.name, ...leads(address) }, picture);
  // If the page's policy forbids it, or it is gone, its name takes its place.
  picture.addEventListener("error", () => {
    link.classList.add("missing");
    picture.replaceWith(icon("file"), about(sizes, file));
  }, { once: true });
  picture.src = address;
  return link;
}

/** A file's name, type and size. */
export function about(sizes, { name, type, size }) {
  return h("span", { class: "about" }, h("span", { class: "file-name", dir: "auto" }, name), " ",
    h("span", { class: "file-kind" }, h("bdi", {}, kindName(type)), ", ", h("bdi", {}, sizes.text(size))));
}

/** The link sends no referrer, and the file cannot reach this window. */
function leads(address) {
  return { href: address, target: "_blank", rel: "noopener noreferrer nofollow ugc" };
}
