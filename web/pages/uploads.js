/** Uploads of files. A part of client.js. */

import { address } from "./connection.js";
import { clearTimeout, openRequest, parse, setTimeout } from "./native.js";
import { Refusal } from "./refusal.js";

/** After this time without progress, in ms, an upload has lost its connection. */
const STALLED = 30_000;
/** The server cuts names to this many characters. */
const LONGEST = 255;

/**
 * @typedef {{fileId: string, name: string, type: string, size: number, url: string}} Attachment a
 *          file as the server describes it: type is that of the content, whatever its name; size in
 *          bytes; addressOf returns its URL
 */

/**
 * Uploads a file to a chat. The server deletes it after 10 minutes unless a message has it.
 * @param {string} base the chat server's URL
 * @param {import("./client.js").Participant} participant
 * @param {string} token the agent's token, if agents need one
 * @param {Blob} file
 * @param {{name?: string, progress?: (part: number) => void, signal?: AbortSignal}} [options] name:
 *        instead of the file's own; progress gets the uploaded part, 0 to 1
 * @returns {Promise<Attachment>}
 * @throws {Refusal} `too_large`, `bad_type`, `chat_full`, …; `aborted` after the signal
 */
export function upload(base, { chatId, userId, supportId, role }, token, file, { name = file.name ?? "", progress = () => {}, signal } = {}) {
  return new Promise((resolve, reject) => {
    const request = openRequest();
    let timer = 0;
    const abort = () => request.abort();
    const fail = (code, message) => reject(new Refusal(code, message));
    const goesOn = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        fail("unreachable", "The upload has stalled.");
        abort();
      }, STALLED);
    };
    request.onload = () => {
      const { status } = request;
      const answer = answered(request);
      if (status === 201 && answer.fileId) return resolve(answer);
      fail(answer.error?.code ?? (status === 413 ? "too_large" : "unavailable"), answer.error?.message ?? "The upload failed.");
    };
    request.onerror = () => fail("unreachable", "The server cannot be reached.");
    request.onabort = () => fail("aborted", "The upload has been aborted.");
    request.onloadend = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    request.upload.onprogress = ({ loaded, total }) => {
      goesOn();
      progress(total ? loaded / total : 1);
    };
    if (signal?.aborted) return fail("aborted", "The upload has been aborted.");
    signal?.addEventListener("abort", abort);
    request.open("POST", address(base, `/chat/${chatId}/files`));
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.setRequestHeader("Livesupport-User", userId);
    request.setRequestHeader("Livesupport-Filename", encodeURIComponent(nameable(name)));
    if (role === "Support") request.setRequestHeader("Livesupport-Support", supportId ?? "");
    if (token) request.setRequestHeader("Livesupport-Token", token);
    goesOn();
    request.send(file);
  });
}

function answered({ responseText }) {
  try {
    return parse(responseText) ?? {};
  } catch {
    return {}; // perhaps a proxy's page
  }
}

/** A name that every server accepts: without lone surrogates, and not too long. */
function nameable(name) {
  return [...name.replace(/[\ud800-\udfff]/gu, "\ufffd")].slice(-LONGEST).join("");
}

/**
 * The URL of a file.
 * @param {string} base the chat server's URL
 * @param {Attachment} attachment
 * @returns {string} "" if it is not an HTTP URL
 */
export function addressOf(base, { url }) {
  const full = /^\//.test(url) ? address(base, url) : url;
  return /^https?:\/\//.test(full) ? full : "";
}
