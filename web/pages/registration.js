/** What the servers answer without a socket, and what is in a token. A part of client.js. */

import { address, PATIENCE } from "./connection.js";
import { fetch, parse, stringify, timeout } from "./native.js";
import { Refusal } from "./refusal.js";

/**
 * Registers a visitor and a fresh chat.
 * @param {string} base the chat server's URL, with its path if it has one
 * @param {string} name 1 to 64 characters; with a token the one in it, or ""
 * @param {string} token the visitor's, if their site has given them one
 * @param {{team?: string, details?: object}} [more] what only agents see; a server that does not
 *        take it registers the visitor without
 * @returns {Promise<import("./client.js").Participant>}
 * @throws {Refusal}
 */
export async function register(base, name, token = "", more) {
  const url = address(base, `/user/join/${encodeURIComponent(name)}`);
  const bearer = token ? { Authorization: `Bearer ${token}` } : {};
  let response = null;
  if (token && url.startsWith(`${globalThis.location?.origin}/`)) {
    // There the Authorization may be a password's that a proxy asks for: the browser forgets it when another one is refused.
    response = await join(url, { "Livesupport-Token": token }, more);
    const older = !/livesupport-token/i.test(response.headers.get("Vary")); // it has taken the visitor for anybody
    if (older && response.status <= 400) response = null;
  }
  response ??= await join(url, bearer, more);
  let answer = {};
  try {
    answer = parse(await response.text());
  } catch {
    // a proxy's page, perhaps: the status says enough
  }
  if (!response.ok) {
    throw new Refusal(answer.error?.code ?? "unavailable", answer.error?.message ?? "This did not work.");
  }
  const { userId, username, chatId } = answer;
  return { role: "User", userId, username, chatId };
}

async function join(url, headers, more) {
  if (more) {
    const post = { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: stringify(more) };
    const response = await ask(url, post).catch(() => null); // a browser hides the answer of a server that takes no POST
    if (response && response.status !== 404 && response.status !== 405) return response;
  }
  return ask(url, { headers });
}

async function ask(url, options) {
  try {
    return await fetch(url, { ...options, signal: timeout(PATIENCE) });
  } catch (cause) {
    throw new Refusal("unreachable", "The server cannot be reached.", { cause });
  }
}

/**
 * Who is there to answer, and what the site has switched on, `preview` for instance.
 * @param {string} base the chat server's URL
 * @returns {Promise<object|null>} what GET /status answers; null if it cannot be known
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
 * What others see of who a token is about: the server decides whether it is true.
 * @param {string} token
 * @returns {string} "" if it is none
 */
export function nameIn(token) {
  const { name, sub } = claims(token);
  return String(name || sub || "");
}

/**
 * Whom a token is about, for telling one from another.
 * @param {string} token
 * @returns {string} "" if it is none
 */
export function subjectIn(token) {
  return String(claims(token).sub ?? "");
}

/**
 * When a token runs out.
 * @param {string} token
 * @returns {number} in ms of Date.now(); NaN if it does not say so
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
 * Asks the lobby whether it takes a token: browsers do not tell why a WebSocket is refused.
 * @param {string} base the lobby's URL
 * @param {string} token
 * @returns {Promise<boolean>} true also if it cannot be known now
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
