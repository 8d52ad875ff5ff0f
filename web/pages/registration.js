/** Requests without a socket, and the content of tokens. A part of client.js. */

import { address, PATIENCE } from "./connection.js";
import { fetch, parse, stringify, timeout } from "./native.js";
import { Refusal } from "./refusal.js";

/** A clock may be wrong by this much, in ms, without harm. */
const NOTICED = 2_000;

/**
 * Registers a visitor with a new chat.
 * @param {string} base the chat server's URL, with its path if it has one
 * @param {string} name 1 to 64 characters; with a token, the token's name or ""
 * @param {string} token the visitor's token, if their site has given them one
 * @param {{team?: string, details?: object}} [more] data for agents; a server that does not support
 *        it registers the visitor without it
 * @returns {Promise<import("./client.js").Participant>}
 * @throws {Refusal}
 */
export async function register(base, name, token = "", more) {
  const url = address(base, `/user/join/${encodeURIComponent(name)}`);
  const { userId, username, chatId } = await answered(joinWith(url, token, more));
  return { role: "User", userId, username, chatId };
}

/**
 * Leaves a message for agents to read later.
 * @param {string} base the chat server's URL
 * @param {{name: string, email: string, content: string, team?: string, details?: object}} message one of
 *        name and email can be ""; content: 1 to MAX_CONTENT characters
 * @param {string} [token] the visitor's token, if their site has given them one
 * @returns {Promise<string>} its messageId, once it is archived
 * @throws {Refusal} then the message was probably not left
 */
export async function leave(base, message, token = "") {
  const url = address(base, "/messages");
  const headers = { ...shown(token, isOwn(url)), "Content-Type": "application/json" };
  const { messageId } = await answered(ask(url, { method: "POST", headers, body: stringify(message) }));
  return messageId;
}

const isOwn = (url) => url.startsWith(`${globalThis.location?.origin}/`);

/** On the page's own origin a proxy may use the Authorization header for a password, which the browser forgets when another Authorization is refused. */
export function shown(token, own) {
  if (!token) return {};
  return own ? { "Livesupport-Token": token } : { Authorization: `Bearer ${token}` };
}

async function joinWith(url, token, more) {
  if (token && isOwn(url)) {
    const response = await join(url, shown(token, true), more);
    const older = !/livesupport-token/i.test(response.headers.get("Vary")); // an older server has ignored the token
    if (!older || response.status > 400) return response;
  }
  return join(url, shown(token, false), more);
}

/** The response of a server. @throws {Refusal} */
export async function answered(request) {
  const response = await request;
  let answer = {};
  try {
    answer = parse(await response.text());
  } catch {
    // perhaps a proxy's page: the status says enough
  }
  if (response.ok) return answer;
  throw new Refusal(answer.error?.code ?? "unavailable", answer.error?.message ?? "The request failed.");
}

async function join(url, headers, more) {
  if (more) {
    const post = { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: stringify(more) };
    const response = await ask(url, post).catch(() => null); // a browser hides the response of a server without POST
    if (response && response.status !== 404 && response.status !== 405) return response;
  }
  return ask(url, { headers });
}

/** @throws {Refusal} */
export async function ask(url, options) {
  try {
    return await fetch(url, { signal: timeout(PATIENCE), ...options });
  } catch (cause) {
    throw new Refusal("unreachable", "The server cannot be reached.", { cause });
  }
}

/**
 * Whether agents are available, and what the site has switched on, for instance `preview`.
 * @param {string} base the chat server's URL
 * @returns {Promise<object|null>} the response to GET /status; null if it is not available
 */
export async function status(base) {
  try {
    const response = await fetch(address(base, "/status"), { signal: timeout(PATIENCE) });
    return response.ok ? parse(await response.text()) : null;
  } catch {
    return null;
  }
}

/**
 * How far a server's clock is ahead of this device's clock, which may be wrong by hours.
 * @param {string} base the server's URL, of this page's origin
 * @returns {Promise<number>} in ms; 0 if unknown or too little to notice
 */
export async function clockAhead(base) {
  try {
    const before = Date.now();
    const response = await fetch(address(base, "/healthz"), { cache: "no-store", signal: timeout(PATIENCE) });
    const ahead = Date.parse(response.headers.get("Date")) + 500 - (before + Date.now()) / 2; // the header has no fractions
    return Math.abs(ahead) < NOTICED || Number.isNaN(ahead) ? 0 : ahead;
  } catch {
    return 0;
  }
}

/**
 * The canned replies of the site, for its agents.
 * @param {string} base the lobby's URL
 * @param {string} token the agent's token, if agents need one
 * @returns {Promise<{shortcut: string, text: string}[]>} none if the server has none
 */
export async function cannedReplies(base, token) {
  try {
    // Not in the Authorization header, which a proxy may use.
    const response = await fetch(address(base, "/api/v1/replies"), { headers: token ? { "Livesupport-Token": token } : {}, signal: timeout(PATIENCE) });
    return response.ok ? parse(await response.text()).replies : [];
  } catch {
    return [];
  }
}

/**
 * Messages that visitors have left, newest first.
 * @param {string} base the lobby's URL
 * @param {string} token the agent's token, if agents need one
 * @param {{done?: boolean, team?: string, cursor?: string, limit?: number}} [which] done: only messages
 *        that are done, or only those that are not; team: only messages for a team; cursor: the `next` of
 *        an earlier response
 * @returns {Promise<{messages: import("./inbox.js").Left[], next: string|null}>}
 * @throws {Refusal} `not_found` without an archive
 */
export function leftMessages(base, token, { done, team = "", cursor = "", limit = 50 } = {}) {
  const query = new URLSearchParams({ ...(done === undefined ? {} : { done }), ...(team ? { team } : {}), ...(cursor ? { cursor } : {}), limit });
  return answered(ask(address(base, `/api/v1/messages?${query}`), { headers: shown(token, true) }));
}

/**
 * Marks a message as done.
 * @param {string} base the lobby's URL
 * @param {string} token the agent's token, if agents need one
 * @param {string} messageId
 * @throws {Refusal}
 */
export async function finishMessage(base, token, messageId) {
  await answered(ask(address(base, `/api/v1/messages/${messageId}/done`), { method: "POST", headers: shown(token, true) }));
}

/**
 * The name in a token. Only the server can tell whether the token is valid.
 * @param {string} token
 * @returns {string} "" if there is none
 */
export function nameIn(token) {
  const { name, sub } = claims(token);
  return String(name || sub || "");
}

/**
 * The sub in a token, to distinguish people.
 * @param {string} token
 * @returns {string} "" if there is none
 */
export function subjectIn(token) {
  return String(claims(token).sub ?? "");
}

/**
 * The role in an agent's token. Only the server can tell whether the token is valid.
 * @param {string} token
 * @returns {string} `supervisor`, or ""
 */
export function roleIn(token) {
  return String(claims(token).role ?? "");
}

/**
 * When a token expires.
 * @param {string} token
 * @returns {number} in ms of Date.now(); NaN if it does not say
 */
export function expiryIn(token) {
  return Number(claims(token).exp) * 1_000;
}

function claims(token) {
  try {
    const bytes = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    return parse(new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)))) ?? {};
  } catch {
    return {};
  }
}

/**
 * Asks the lobby whether a token is valid, because browsers do not tell why a WebSocket was refused.
 * @param {string} base the lobby's URL
 * @param {string} token
 * @returns {Promise<boolean>} also true if that is unknown
 */
export async function tokenCounts(base, token) {
  try {
    const response = await fetch(address(base, "/token"), {
      headers: { "Livesupport-Token": token }, signal: timeout(PATIENCE),
    });
    return parse(await response.text()).good !== false;
  } catch {
    return true;
  }
}
