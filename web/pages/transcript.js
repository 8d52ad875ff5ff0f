import { h } from "./dom.js";
import { setTimeout } from "./native.js";

/** How long the browser can load a file, in ms. */
const TAKING = 60_000;

/**
 * A conversation as plain text. Each message has its author, date, text and the URLs of its files.
 * @param {(key: string, values?: object) => string} t
 * @param {import("./moments.js").Moments} moments
 * @param {import("./client.js").Chat} chat
 */
export function transcript(t, moments, chat) {
  return chat.messages.map((message) => {
    const { timestamp, content, files = [] } = message;
    const lines = [content, ...files.map((file) => `${file.name} ${chat.addressOf(file)}`)].filter(Boolean);
    return `${chat.nameOf(message) || t("agent")}, ${moments.full(new Date(timestamp))}\n${lines.join("\n")}\n`;
  }).join("\n");
}

/** Saves a text as a file that is named after a day. @param {string} text @param {Date} day */
export function save(text, day) {
  const two = (number) => String(number).padStart(2, "0");
  download(text, "text/plain;charset=utf-8", `chat-${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}.txt`);
}

/** Saves a text as a file. @param {string} text @param {string} type @param {string} name */
export function download(text, type, name) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), TAKING);
}
