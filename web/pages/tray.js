import { about, isPicture, kindName, Sizes } from "./attachments.js";
import { contentType, MAX_FILES, Refusal, withoutMetadata } from "./client.js";
import { h, icon, label, write } from "./dom.js";
import { aborter } from "./native.js";
import { reason } from "./strings.js";

/** After this time, in ms, a file is uploaded again: the server deletes it 10 minutes after an upload without a message. */
const FRESH = 8 * 60_000;
/** The size of a thumbnail in pixels, which is larger than on the page for screens with a high resolution. */
const SMALL = 96;
/** How many bytes of a file are checked to see whether it is text. */
const HEAD = 3_072;

/** A file for the next message: it is being uploaded, is uploaded, or has failed. */
class Item {
  /** @type {"sending"|"there"|"failed"} */
  state = "sending";
  /** The server's answer, once the file is uploaded. @type {import("./uploads.js").Attachment|null} */
  attachment = null;
  /** Settles with the upload. @type {Promise<void>} */
  coming = Promise.resolve();

  #t;
  #sizes;
  #stop = null;
  #at = 0; // when it was uploaded

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {Sizes} sizes
   * @param {File} file
   * @param {string} type of its content
   * @param {{remove: () => void, retry: () => void}} on
   */
  constructor(t, sizes, file, type, on) {
    this.#t = t;
    this.#sizes = sizes;
    this.file = file;
    const { name, size } = file;
    this.bar = h("progress", { max: 1, value: 0, "aria-label": name });
    this.fate = h("p", { class: "fate" });
    this.retry = h("button", { type: "button", class: "tool", hidden: true, onclick: on.retry });
    label(this.retry, "retry", t("fileRetry", { name }));
    this.remove = h("button", { type: "button", class: "tool", onclick: on.remove });
    const view = isPicture({ type }) ? h("canvas", { width: SMALL, height: SMALL, class: "small", "aria-hidden": "true" }) : icon("file");
    if (view instanceof HTMLCanvasElement) drawSmall(view, file);
    this.element = h("li", {}, view, h("div", { class: "how" }, about(sizes, { name, type, size }), this.bar, this.fate), this.retry, this.remove);
    this.#show();
  }

  /** Sends it. @param {import("./client.js").Chat} chat */
  start(chat) {
    this.state = "sending";
    this.bar.value = 0;
    this.#stop = aborter();
    this.#show();
    this.coming = this.#send(chat, this.#stop.signal);
  }

  async #send(chat, signal) {
    let problem = "";
    try {
      const { name } = this.file;
      const file = await withoutMetadata(this.file);
      const progress = (part) => {
        this.bar.value = part;
        if (!signal.aborted) write(this.fate, this.#t("fileSending", { part: this.#sizes.part(part) }));
      };
      this.attachment = await chat.upload(file, { name, progress, signal });
      this.#at = Date.now();
    } catch (error) {
      problem = error instanceof Refusal ? error.code : "unreadable";
    }
    if (signal.aborted) return;
    this.state = problem ? "failed" : "there";
    this.#show(problem);
  }

  /** Returns whether the server may have deleted it by now. */
  get stale() {
    return this.state === "there" && Date.now() - this.#at > FRESH;
  }

  abort() {
    this.#stop?.abort();
  }

  #show(problem = "") {
    const t = this.#t;
    const { name } = this.file;
    const { state } = this;
    this.element.dataset.state = state;
    this.retry.hidden = state !== "failed";
    label(this.remove, "close", t(state === "sending" ? "fileCancel" : "fileRemove", { name }));
    write(this.fate, { sending: t("fileSending", { part: this.#sizes.part(this.bar.value) }), there: t("fileThere"), failed: problem && this.#why(problem) }[state]);
  }

  #why(problem) {
    const t = this.#t;
    const words = { too_large: "fileLarge", bad_type: "fileKind", chat_full: "filesFull", unreadable: "fileUnreadable" }[problem];
    return words ? t(words) : reason(t, problem);
  }

  /** The announcement after the upload. */
  get words() {
    const { name } = this.file;
    return this.state === "there" ? this.#t("fileReady", { name }) : `${name}: ${this.fate.textContent}`;
  }
}

async function drawSmall(canvas, file) {
  try {
    const bitmap = await createImageBitmap(file);
    const { width, height } = bitmap;
    const side = Math.min(width, height);
    canvas.getContext("2d").drawImage(bitmap, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SMALL, SMALL);
    bitmap.close();
  } catch {
    // it is not a picture, or is too large: then there is no thumbnail
  }
}

/**
 * The files of the draft, for each chat. They are picked, dropped, pasted or photographed, and uploaded at
 * once, without the metadata that cameras write into them.
 */
export class Tray {
  #t;
  #sizes;
  #on;
  #limits = null;
  #chat = null;
  #items = new WeakMap(); // by chat

  /**
   * @param {(key: string, values?: object) => string} t
   * @param {string} lang
   * @param {{announce: (words: string) => void, removed: () => void, takes: () => boolean}} on
   *        removed: the element with the focus was removed; takes: whether a message can be written now
   * @param {string} id of the message field
   */
  constructor(t, lang, on, id) {
    this.#t = t;
    this.#sizes = new Sizes(lang);
    this.#on = on;
    this.input = this.#picker({ multiple: true });
    this.lens = this.#picker({ accept: "image/*", capture: "environment" });
    this.button = h("button", { type: "button", class: "tool attach", hidden: true, "aria-describedby": `${id}-limits`, onclick: () => this.input.click() });
    label(this.button, "clip", t("attach"));
    /** Only on phones. */
    this.camera = h("button", { type: "button", class: "tool camera", hidden: true, onclick: () => this.lens.click() });
    label(this.camera, "camera", t("camera"));
    this.list = h("ul", { "aria-label": t("attachments") });
    this.problem = h("p", { class: "hint", role: "alert" });
    this.limits = h("p", { class: "note", id: `${id}-limits` });
    this.element = h("div", { class: "tray", hidden: true }, this.list, this.limits);
    /** Shows where files can be dropped, while they are dragged over it. */
    this.zone = h("div", { class: "zone", "aria-hidden": "true", hidden: true }, icon("clip"), h("p", {}, t("dropHere")), h("p", { class: "note" }));
  }

  #picker(props) {
    return h("input", { type: "file", hidden: true, ...props, onchange: ({ target }) => {
      const files = Array.from(target.files);
      target.value = ""; // so that the same file can be picked again
      this.add(files);
    } });
  }

  /** Sets what the server accepts. @param {{size: number, types: string[]}|null} [limits] null: no files at all */
  offer(limits) {
    if (limits === this.#limits) return;
    this.#limits = limits ?? null;
    this.button.hidden = !limits;
    this.camera.hidden = !limits?.types.some((type) => isPicture({ type }));
    if (!limits) return;
    this.input.accept = limits.types.join();
    const words = this.#t("attachLimits", { most: MAX_FILES, size: this.#sizes.text(limits.size), kinds: this.#kinds });
    write(this.limits, words);
    write(this.zone.lastElementChild, words);
    this.button.title = `${this.#t("attach")}. ${words}`;
  }

  get #kinds() {
    return this.#limits.types.map(kindName).join(", ");
  }

  /** @param {import("./client.js").Chat|null} chat */
  show(chat) {
    this.#chat = chat;
    write(this.problem, "");
    this.zone.hidden = true;
    this.list.replaceChildren(...this.#of(chat).map(({ element }) => element));
    this.#changed();
  }

  #of(chat) {
    return (chat && this.#items.get(chat)) ?? [];
  }

  /** The number of files for the selected chat. */
  get count() {
    return this.#of(this.#chat).length;
  }

  /**
   * Takes files that are dropped on an element or pasted into it.
   * @param {HTMLElement} element
   * @param {(target: Node) => boolean} pastes whether a paste there is meant for the message
   */
  watch(element, pastes) {
    const takes = ({ dataTransfer }) => this.#takes() && Array.from(dataTransfer?.types ?? []).includes("Files");
    const over = (event) => {
      if (!takes(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      this.zone.hidden = false;
    };
    element.addEventListener("dragenter", over);
    element.addEventListener("dragover", over);
    element.addEventListener("dragleave", ({ relatedTarget }) => {
      if (!element.contains(relatedTarget)) this.zone.hidden = true;
    });
    element.addEventListener("drop", (event) => {
      this.zone.hidden = true;
      if (!takes(event)) return;
      event.preventDefault();
      this.add(dropped(event.dataTransfer));
    });
    element.addEventListener("paste", (event) => {
      const { files, types } = event.clipboardData;
      // For a table or formatted text, programs also offer a picture.
      const written = ["text/plain", "text/html"].every((type) => types.includes(type));
      if (!files.length || written || !this.#takes() || !pastes(event.target)) return;
      event.preventDefault();
      this.add(Array.from(files));
    });
  }

  #takes() {
    return Boolean(this.#limits && this.#chat && this.#on.takes());
  }

  /** Starts to upload files, and tells which of them cannot be sent, and why. @param {File[]} files */
  async add(files) {
    const chat = this.#chat;
    if (!chat || !this.#limits) return;
    const refused = [];
    for (const file of files) {
      const why = this.#of(chat).length >= MAX_FILES ? this.#t("filesMost", { most: MAX_FILES }) : await this.#refuse(file);
      if (why && !refused.includes(why)) refused.push(why);
      if (!why) await this.#take(chat, file);
    }
    if (chat === this.#chat) write(this.problem, refused.join(" "));
  }

  /** The reason why a file cannot be sent, as far as it is known here. The server checks again. */
  async #refuse(file) {
    const t = this.#t;
    const { name, size } = file;
    const { types } = this.#limits;
    if (size > this.#limits.size) return t("fileTooLarge", { name, size: this.#sizes.text(this.#limits.size) });
    try {
      if (size === 0) return t("fileEmpty", { name });
      const type = await contentType(file) || (isKnownHere(file.type) ? "" : file.type);
      if (types.includes(type) || (!isKnownHere(type) && types.includes("text/plain") && await maybeText(file))) return "";
      return t("fileNot", { name, kinds: this.#kinds });
    } catch {
      return t("fileNotRead", { name });
    }
  }

  async #take(chat, file) {
    const type = await contentType(file) || file.type || "text/plain";
    const items = this.#of(chat);
    if (items.length >= MAX_FILES) return; // others were added in the meantime
    const item = new Item(this.#t, this.#sizes, file, type, {
      remove: () => this.#remove(chat, item),
      retry: () => this.#start(chat, item),
    });
    this.#items.set(chat, [...items, item]);
    if (chat === this.#chat) this.list.append(item.element);
    this.#changed();
    this.#start(chat, item);
  }

  async #start(chat, item) {
    const focused = item.element.contains(item.element.getRootNode().activeElement);
    item.start(chat);
    if (focused) item.remove.focus(); // the retry button is gone
    const { coming } = item;
    await coming;
    if (coming !== item.coming || !this.#of(chat).includes(item)) return;
    if (chat === this.#chat) this.#on.announce(item.words);
  }

  #remove(chat, item) {
    item.abort();
    const left = this.#of(chat).filter((one) => one !== item);
    this.#items.set(chat, left);
    item.element.remove();
    write(this.problem, "");
    this.#changed();
    this.#on.removed();
  }

  #changed() {
    this.element.hidden = this.count === 0;
  }

  /**
   * Waits until all files of a chat are uploaded.
   * @param {import("./client.js").Chat} chat
   * @returns {Promise<boolean>} false if some have failed
   */
  async arrived(chat) {
    for (const item of this.#of(chat)) if (item.stale) this.#start(chat, item);
    const sending = () => this.#of(chat).filter(({ state }) => state === "sending");
    while (sending().length) await Promise.race(sending().map(({ coming }) => coming));
    return this.#of(chat).every(({ state }) => state === "there");
  }

  /** Gives away the files of a chat that are there. @param {import("./client.js").Chat} chat @returns {import("./uploads.js").Attachment[]} */
  take(chat) {
    const files = this.#of(chat).map(({ attachment }) => attachment).filter(Boolean);
    this.drop(chat);
    return files;
  }

  /** Forgets the files of a chat. @param {import("./client.js").Chat} chat */
  drop(chat) {
    for (const item of this.#of(chat)) item.abort();
    this.#items.delete(chat);
    if (chat !== this.#chat) return;
    this.list.replaceChildren();
    write(this.problem, "");
    this.#changed();
  }
}

/** Types that begin with known bytes. A file without them is not of that type. */
function isKnownHere(type) {
  return isPicture({ type }) || type === "application/pdf";
}

/** Returns whether the server may accept a file as text. */
async function maybeText(file) {
  const head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
  return !head.includes(0);
}

/** The dropped files, without folders. @param {DataTransfer} data */
function dropped({ items, files }) {
  const folders = Array.from(items).filter(({ kind }) => kind === "file").map((item) => item.webkitGetAsEntry?.()?.isDirectory);
  return Array.from(files).filter((_, i) => !folders[i]);
}

/** Keeps a file that is dropped beside its place from replacing the page. @param {EventTarget} place */
export function keepsPage(place) {
  for (const type of ["dragover", "drop"]) {
    place.addEventListener(type, (event) => {
      if (event.defaultPrevented || !Array.from(event.dataTransfer?.types ?? []).includes("Files")) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "none";
    });
  }
}
