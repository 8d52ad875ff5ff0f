import { attachments } from "./attachments.js";
import { h } from "./dom.js";
import { onlyEmoji, paragraphs, visible } from "./text.js";

/**
 * The content of a message: its text and its files.
 * @param {(key: string, values?: object) => string} t
 * @param {import("./attachments.js").Sizes} sizes
 * @param {import("./client.js").Chat} chat
 * @param {import("./client.js").Message} message
 * @returns {Element[]}
 */
export function said(t, sizes, chat, message) {
  if (!message.files?.length) return [bubble(t, message.content)];
  const files = attachments(t, sizes, chat, message);
  return visible(message.content) ? [bubble(t, message.content), files] : [files];
}

function bubble(t, content) {
  if (!visible(content)) return h("div", { class: "bubble blank" }, t("blank"));
  try {
    return h("div", { class: `bubble${onlyEmoji(content) ? " emoji" : ""}` }, paragraphs(content));
  } catch (error) { // show the text alone, so that the other messages are shown, too
    console.error("livesupport: a message cannot be shown as it should be:", error);
    return h("div", { class: "bubble" }, h("p", { dir: "auto" }, content));
  }
}
