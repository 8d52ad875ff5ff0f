/** Text that people write: its length, whether it is visible, and the links in it. */

import { h } from "./dom.js";

/** The number of characters in a text: code points, as on the server. */
export function characters(text) {
  return text.length - (text.match(/[\u{10000}-\u{10ffff}]/gu)?.length ?? 0);
}

/** Returns whether a text is visible. Spaces, zero-width characters and fillers are not. */
export function visible(text) {
  return /[^\s\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Zs}\u2800]/u.test(text);
}

/** The beginning of a text, with at most this many characters, and an ellipsis. */
export function cut(text, most) {
  const start = [...text.slice(0, 2 * most)].slice(0, most).join("");
  return start.length < text.length ? `${start}…` : text;
}

/** A text without lone surrogates, which no server accepts. */
export function wellFormed(text) {
  return text.replace(/[\ud800-\udfff]/gu, "\ufffd");
}

// An address may have letters of all scripts in it. It ends before white space, and before the
// quotes, brackets, commas and full stops of other scripts: many put no space after them. It also
// ends before what is not seen or turns its direction, lest it look like another one.
const LINK = /https?:\/\/(?:[!#-;=?-~\u2019\u200c\u200d\ufe0f]|[^\0-\u009f\s\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Terminal_Punctuation}\p{Quotation_Mark}\p{Ps}\p{Pe}\u2026])+/giu;
// At its end, further punctuation belongs to the sentence, and closing brackets that open before it.
const TRAILING = /^(?:[.,;:!?'")\]}]|(?![!-~])\p{P})$/u;
const PAIRS = { ")": "(", "]": "[", "}": "{" };

/**
 * A text as paragraphs, each with its own direction, and with its http addresses as links. Nothing is ever
 * parsed as HTML. The white space between paragraphs stays, so the text is complete.
 */
export function paragraphs(text) {
  const fragment = document.createDocumentFragment();
  for (const [i, line] of text.split("\n").entries()) {
    if (i) fragment.append("\n");
    fragment.append(h("p", { dir: "auto" }, line ? linked(line) : h("br")));
  }
  return fragment;
}

function linked(text) {
  const fragment = document.createDocumentFragment();
  let from = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const address = withoutTrailing(found);
    if (!parses(address)) continue;
    fragment.append(text.slice(from, index), h("a", {
      href: address, target: "_blank", rel: "noopener noreferrer nofollow ugc", textContent: address,
      dir: "ltr", // as addresses are read; and they do not count for the paragraph's direction
    }));
    from = index + address.length;
  }
  fragment.append(text.slice(from));
  return fragment;
}

function withoutTrailing(address) {
  const closing = {};
  for (const [close, open] of Object.entries(PAIRS)) {
    closing[close] = address.split(close).length - address.split(open).length; // more than are opened
  }
  let end = address.length;
  for (; end > 0; end--) { // all punctuation that may stand in an address is one unit long, or is left
    const last = address[end - 1];
    if (!TRAILING.test(last) || (last in PAIRS && closing[last]-- <= 0)) break;
  }
  return address.slice(0, end);
}

function parses(address) {
  try {
    return Boolean(new URL(address));
  } catch {
    return false;
  }
}

const ONLY_EMOJI = /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\p{Regional_Indicator}|\u200d|\ufe0f|\s){1,16}$/u;

/** Returns whether a text has only a few emoji. */
export function onlyEmoji(text) {
  return visible(text) && ONLY_EMOJI.test(text);
}
