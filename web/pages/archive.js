/** The archive's routes for agents. Each function throws a Refusal, with the code `not_found` if there is no archive. */

import { address, PATIENCE } from "./connection.js";
import { Refusal } from "./refusal.js";
import { answered, ask, shown } from "./registration.js";

/**
 * The server, and the agent who asks.
 * @typedef {{base: string, token: string, signal?: AbortSignal}} Asking base: the lobby's URL; token: the
 *          agent's, where agents need one; signal: aborts the request
 * @typedef {{agent: string|null, supportUserName: string}} Agent agent: null without tokens
 * @typedef {{chatId: string, userId: string, username: string, verified: boolean, sub: string|null, team: string|null,
 *            agents: Agent[], started: string, ended: string, endedBy: "User"|"Support"|"expiry",
 *            messages: number, score: number|null}} Kept an archived chat
 * @typedef {{query?: string, agent?: string, team?: string, from?: string, to?: string}} Filter
 */

/**
 * Searches the chats. Those that ended last come first.
 * @param {Asking} asking
 * @param {Filter & {cursor?: string, limit?: number}} wanted cursor: the `next` of an earlier answer
 * @returns {Promise<{chats: Kept[], next: string|null}>}
 */
export const searchChats = (asking, wanted) => get(asking, "/chats", wanted);

/** A chat with its log. @returns {Promise<Kept & {log: {type: string, args: object}[]}>} */
export const archivedChat = (asking, chatId) => get(asking, `/chats/${chatId}`);

/** The earlier chats of a chat's visitor. @returns {Promise<{chats: (Kept & {message?: string})[]}>} */
export const earlierChats = (asking, chatId) => get(asking, `/chats/${chatId}/earlier`);

/** Statistics: the number of chats, the waiting times, and so on. @param {Filter} wanted */
export const figures = (asking, wanted) => get(asking, "/stats", wanted);

/** A chat as plain text. @returns {Promise<string>} */
export const transcriptOf = (asking, chatId) => send(asking, `/chats/${chatId}/transcript`, {}, (response) => response.text());

/** Deletes a chat for good: for supervisors. */
export const deleteChat = (asking, chatId) => send(asking, `/chats/${chatId}`, {}, () => {}, "DELETE");

/** Deletes everything about a verified visitor for good: for supervisors. */
export const deleteVisitor = (asking, sub) => send(asking, `/users/${encodeURIComponent(sub)}`, {}, () => {}, "DELETE");

const get = (asking, path, wanted = {}) => send(asking, path, wanted, (response) => response.json());

async function send({ base, token, signal }, path, wanted, read, method = "GET") {
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value)).toString();
  const end = new AbortController();
  const abort = () => end.abort();
  const timer = setTimeout(abort, PATIENCE);
  signal?.addEventListener("abort", abort);
  try {
    const url = address(base, `/api/v1${path}${query && `?${query}`}`);
    const response = await ask(url, { method, headers: shown(token, true), signal: end.signal });
    return response.ok ? await read(response) : await answered(response);
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal("unreachable", "The answer was cut off.", { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}
