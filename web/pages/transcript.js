import { h } from "./dom.js";
import { setTimeout } from "./native.js";

/** A file is given to the browser for this time, in ms. */
const TAKING = 60_000;

/**
 * A conversation as plain text: of each message the name, the whole date and the text.
 * @param {(key: string, values?: object) => string} t
 * @param {import("./moments.js").Moments} moments
 * @param {import("./client.js").Chat} chat
 */
export function transcript(t, moments, { participant, messages }) {
  const names = { User: participant.username, Support: participant.supportUserName ?? t("agent") };
  return messages.map(({ from, timestamp, content }) => `${names[from]}, ${moments.full(new Date(timestamp))}\n${content}\n`).join("\n");
}

/** Saves a text as a file that is named after a day. @param {string} text @param {Date} day */
export function save(text, day) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  const two = (number) => String(number).padStart(2, "0");
  h("a", { href: url, download: `chat-${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}.txt` }).click();
  setTimeout(() => URL.revokeObjectURL(url), TAKING);
}
