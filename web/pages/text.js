/** What people write: how long it is, whether it can be seen, and what in it is an address. */

import { h } from "./dom.js";

/** How many characters a text has: code points, as the server counts them. */
export function characters(text) {
  return text.length - (text.match(/[\u{10000}-\u{10ffff}]/gu)?.length ?? 0);
}

/** Whether there is anything to see in a text. Spaces, zero-width characters and fillers show nothing. */
export function visible(text) {
  return /[^\s\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Zs}\u2800]/u.test(text);
}

/** The beginning of a text, with at most so many characters and an ellipsis. */
export function cut(text, most) {
  const start = [...text.slice(0, 2 * most)].slice(0, most).join("");
  return start.length < text.length ? `${start}…` : text;
}

/** A text without halves of characters, which no server takes. */
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
 * A text as paragraphs with a direction of their own, and with its http addresses as links. Nothing
 * in it is ever read as HTML. What is between two paragraphs stays there: the text is all there.
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

/** Whether a text is a few emoji and nothing else. */
export function onlyEmoji(text) {
  return visible(text) && ONLY_EMOJI.test(text);
}
