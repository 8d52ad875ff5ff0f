/**
 * The protocol of the chat server (port 9000) and of the lobby (port 9001) for browsers: connect,
 * heartbeat, reconnect, rejoin, and messages that arrive once. It has no dependencies and knows no
 * page; the widget and the agent's console are built on it, and so may be anything else:
 *
 *     import { Chat, register } from "https://HOST:9000/client.js";
 *     const chat = new Chat("https://HOST:9000", await register("https://HOST:9000", "Nika"));
 *     chat.addEventListener("message", ({ detail }) => console.log(detail.from, detail.content));
 *     chat.open();
 *     chat.send("Hello");
 *
 * @module
 *
 * @typedef {{userId: string, chatId: string, username: string, verified?: true}} User a registered
 *            visitor; to agents, verified if their site has vouched for them
 * @typedef {{userId: string, supportId: string, content: string, timestamp: string,
 *            from: "User"|"Support", messageId?: string}} Message as the server delivers it
 * @typedef {{messageId: string, content: string, problem?: string}} Outgoing a message without a
 *            receipt; problem is the code of its refusal, and such a one waits for retry or discard
 * @typedef {User & {role: "User"|"Support", supportId?: string, supportUserName?: string}} Participant
 *            all that is needed to come back to a chat; plain JSON. An agent's needs a
 *            supportUserName; the supportId is the server's to give.
 */

import { Connection, PATIENCE } from "./connection.js";
import { clearTimeout, customEvent, fetch, parse, randomHex, setTimeout, timeout } from "./native.js";

/** Without receipt or refusal for a message in this time a connection counts as dead, in ms. */
const RECEIPT = 10_000;
/** A message refused for now (rate, outage) is sent again after this time, in ms. */
const RETRY = 1_500;
/** A chat that has all the sockets it may have is tried again after this time, in ms. */
const CROWDED = 10_000;
/** After a claim's RemoveUser an agent waits this long for a contradiction, in ms. */
const CLAIM_DOUBT = 300;

/** The most characters (code points) that a message may have. */
export const MAX_CONTENT = 8_000;

/** What a server refuses, or what cannot reach it: `code` is the protocol's, or `unreachable`. */
export class Refusal extends Error {
  /** @param {string} code @param {string} message one sentence, in English */
  constructor(code, message, options) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Registers a visitor and a fresh chat.
 * @param {string} base the chat server's URL, with its path if it has one
 * @param {string} name 1 to 64 characters; with a token the one in it, or ""
 * @param {string} token the visitor's, if their site has given them one
 * @returns {Promise<Participant>}
 * @throws {Refusal}
 */
export async function register(base, name, token = "") {
  let response;
  try {
    response = await fetch(address(base, `/user/join/${encodeURIComponent(name)}`), {
      headers: token ? { Authorization: `Bearer ${token}` } : {}, signal: timeout(PATIENCE),
    });
  } catch (cause) {
    throw new Refusal("unreachable", "The server cannot be reached.", { cause });
  }
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

/**
 * What others see of who a token is about.
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

/**
 * One participant's end of a chat. It stays joined through lost connections; what is sent arrives
 * once and in order, or is refused and stays in the outbox.
 *
 * Events: `change` (of state, participant or outbox), `history` (messages is new as a whole),
 * `message` (detail: the Message that was added; also for one that came while the connection was
 * lost).
 */
export class Chat extends EventTarget {
  /**
   * - connecting: on the way to the first answer
   * - waiting: joined, no agent yet
   * - connected: joined, visitor and agent have the chat
   * - offline: the connection is lost, a new one is on the way; with the problem `chat_full` the
   *   chat has all the sockets that it may have, those of other tabs for instance
   * - ended: the chat has expired
   * - closed: left by close(), or the server refuses this participant: then `problem` is the code
   * @type {"connecting"|"waiting"|"connected"|"offline"|"ended"|"closed"}
   */
  state = "connecting";
  problem = "";
  /** @type {Message[]} oldest first */
  messages = [];
  /** When something last renewed the chat's life, as far as is known here, in ms of Date.now(). */
  renewed = Date.now();

  #connection;
  #token;
  #joined = false;
  #crowded = ""; // chat_full, if that was the answer to the last Join
  #seen = new Set();
  #timer = 0;

  /**
   * @param {string} base the chat server's URL
   * @param {Participant} participant is kept up to date in place
   * @param {Outgoing[]} outbox what an earlier page could not send; kept up to date in place
   * @param {() => string} token an agent's, where agents need one: then their name comes from it
   */
  constructor(base, participant, outbox = [], token = () => "") {
    super();
    this.participant = participant;
    this.outbox = outbox;
    const pong = participant.role === "Support" ? "pong:support" : "pong:user";
    this.#connection = new Connection(address(base, `/chat/${participant.chatId}`), pong, {
      open: () => this.#join(),
      receive: (type, args) => this.#receive(type, args),
      lost: () => this.#leave("offline", this.#crowded),
      refused: () => this.#leave("closed", this.problem || "forbidden"),
    }, token);
    this.#token = token;
  }

  /** Connects and joins; after `closed` it tries anew. */
  open() {
    this.#set("connecting");
    this.#connection.open();
  }

  /** Leaves for good. The chat itself lives on at the server. */
  close() {
    this.#connection.close();
    this.#leave("closed");
  }

  /**
   * Takes a message for delivery, also while offline.
   * @param {string} content 1 to MAX_CONTENT characters
   */
  send(content) {
    this.outbox.push({ messageId: randomHex(16), content });
    this.#settled();
  }

  /** Sends a refused message again, behind what else is waiting. @param {string} messageId */
  retry(messageId) {
    const entry = this.#take(messageId);
    if (!entry) return;
    delete entry.problem;
    this.outbox.push(entry);
    this.#settled();
  }

  /** Forgets a refused message. @param {string} messageId */
  discard(messageId) {
    this.#take(messageId);
    this.#changed();
  }

  #take(messageId) {
    const at = this.outbox.findIndex((one) => one.messageId === messageId && one.problem);
    return at < 0 ? undefined : this.outbox.splice(at, 1)[0];
  }

  #join() {
    this.#crowded = "";
    const { role, userId, username, supportId, supportUserName } = this.participant;
    this.#connection.send("Join", {
      userId, username, supportId, from: role, features: ["messageId"],
      supportUserName: role === "Support" && !this.#token() ? supportUserName : undefined,
    });
  }

  #receive(type, args) {
    switch (type) {
      case "UserJoined": // waiting, unless SupportJoinedUser follows
        if (this.#joined) return;
        delete this.participant.supportId;
        delete this.participant.supportUserName;
        return this.#enter("waiting");
      case "SupportJoinedUser": {
        const { supportId, supportUserName, username } = args;
        Object.assign(this.participant, { supportId, supportUserName, username });
        return this.#enter("connected");
      }
      case "ChatHistory":
        return this.#replace(args.messages);
      case "ChatMessage":
        return this.#add(args);
      case "ChatExpired":
        this.#connection.close();
        for (const entry of this.outbox) entry.problem = "expired";
        return this.#leave("ended");
      case "Error":
        if (args.code === "unauthorized") return void (this.problem = args.code); // the close follows
        return this.#joined ? this.#messageFailed(args) : this.#joinFailed(args);
    }
  }

  /** A chat only grows: after a lost connection its history begins with what is known already. */
  #replace(messages) {
    const known = this.messages.length;
    const [last, same] = [this.messages[known - 1], messages[known - 1]];
    const grown = known > 0 && same?.timestamp === last.timestamp && same.content === last.content;
    if (grown) {
      for (const message of messages.slice(known)) this.#add(message);
    } else {
      this.messages = messages;
      this.#seen = new Set(messages.map(identity));
      this.dispatchEvent(customEvent("history"));
      this.#delivered((id) => this.#seen.has(id));
    }
    if (!this.#joined) this.#enter(this.participant.supportId ? "connected" : "waiting");
  }

  #add(message) {
    const id = identity(message);
    if (message.messageId && this.#seen.has(id)) return; // the answer to a message sent twice
    this.#seen.add(id);
    this.messages.push(message);
    this.renewed = Date.now();
    this.dispatchEvent(customEvent("message", message));
    this.#delivered((delivered) => delivered === id);
  }

  #delivered(has) {
    const { outbox, participant: { role } } = this;
    const left = outbox.filter(({ messageId }) => !has(identity({ from: role, messageId })));
    outbox.splice(0, outbox.length, ...left);
    this.#settled();
  }

  #sent = ""; // the messageId that is under way

  /** The outbox has changed: tells so, and sends the next message. */
  #settled() {
    this.#changed();
    const next = this.#next();
    if (next?.messageId !== this.#sent) this.#sendNext();
  }

  #next() {
    return this.outbox.find((entry) => !entry.problem);
  }

  /** One message is under way at a time: so a refused one is never overtaken by a later one. */
  #sendNext() {
    clearTimeout(this.#timer);
    this.#sent = "";
    const next = this.#next();
    if (!next || !this.#joined) return;
    const { messageId, content } = next;
    const { role, userId, supportId = "" } = this.participant;
    this.#sent = messageId;
    this.#connection.send("ChatMessage", { userId, supportId, from: role, content, messageId });
    this.#timer = setTimeout(() => this.#connection.restart(), RECEIPT);
  }

  #messageFailed({ code, messageId }) {
    const next = this.#next();
    if (!next || (messageId && messageId !== next.messageId)) return;
    if (code === "unavailable" || code === "rate_limited") {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#sendNext(), RETRY);
      return;
    }
    next.problem = code;
    this.#settled();
  }

  #joinFailed({ code }) {
    if (code === "unavailable") return this.#connection.restart();
    if (code === "chat_full") {
      this.#crowded = code;
      return this.#connection.restart(CROWDED);
    }
    this.#connection.close();
    this.#leave("closed", code);
  }

  #enter(state) {
    const fresh = !this.#joined;
    this.#joined = true;
    this.renewed = Date.now();
    this.#connection.accepted();
    this.#set(state);
    if (fresh) this.#sendNext();
  }

  #leave(state, problem = "") {
    this.#joined = false;
    this.#sent = "";
    clearTimeout(this.#timer);
    this.#set(state, problem);
  }

  #set(state, problem = "") {
    this.state = state;
    this.problem = problem;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(customEvent("change"));
  }
}

/**
 * The lobby as an agent sees it. Events: `change` (of state or users), `user` (detail: the User
 * who has begun to wait while the agent was looking).
 */
export class Lobby extends EventTarget {
  /** ready: the users are the server's present list. @type {"connecting"|"ready"|"offline"|"closed"} */
  state = "connecting";
  /** The code of the refusal, when closed. */
  problem = "";
  /** @type {Map<string, User>} pending users by userId, longest waiting first */
  users = new Map();

  #connection;
  #claim = null;
  #known = new Set(); // every user that has been in the list
  #loaded = false; // once: who is new in a later list came while the connection was lost

  /**
   * @param {string} base the lobby's URL
   * @param {() => string} token the agent's, where agents need one
   */
  constructor(base, token = () => "") {
    super();
    this.#connection = new Connection(address(base, "/users"), "pong:support", {
      open: () => this.#load(),
      receive: (type, args) => this.#receive(type, args),
      lost: () => this.#leave("offline"),
      refused: () => this.#leave("closed", this.problem || "forbidden"),
    }, token);
  }

  /** Connects and loads; after `closed` it tries anew. */
  open() {
    this.#set("connecting");
    this.#connection.open();
  }

  /** Leaves for good. */
  close() {
    this.#connection.close();
    this.#leave("closed");
  }

  /**
   * Claims a pending user, so that no other agent takes them. One claim at a time.
   * @param {User} user
   * @returns {Promise<boolean>} false if somebody else was faster
   * @throws {Refusal} if it is not known who has the user
   */
  async claim({ userId, chatId, username }) {
    if (this.#claim || this.state !== "ready") throw new Refusal("unreachable", "Not now.");
    try {
      return await new Promise((resolve, reject) => {
        const silent = () => reject(new Refusal("unreachable", "The lobby does not answer."));
        this.#claim = { userId, resolve, reject, timer: setTimeout(silent, PATIENCE) };
        this.#connection.send("JoinUser", { userId, chatId, username });
      });
    } finally {
      clearTimeout(this.#claim.timer);
      this.#claim = null;
    }
  }

  #load() {
    this.#connection.send("Load", { batch: true, features: ["verified"] });
  }

  #receive(type, args) {
    switch (type) {
      case "PendingUsers": {
        const fresh = args.users.filter(({ userId }) => !this.#known.has(userId));
        this.users = new Map(args.users.map((user) => [user.userId, user]));
        for (const userId of this.users.keys()) this.#known.add(userId);
        this.#connection.accepted();
        this.#set("ready");
        if (this.#loaded) for (const user of fresh) this.#announce(user);
        this.#loaded = true;
        return;
      }
      case "UserJoined":
        this.users.set(args.userId, args);
        if (this.#known.has(args.userId)) this.#load(); // back, perhaps in an old place
        this.#known.add(args.userId);
        this.#set(this.state);
        return this.#announce(args);
      case "RemoveUser":
        this.users.delete(args.userId);
        if (args.userId === this.#claim?.userId) this.#removedClaimed();
        return this.#set(this.state);
      case "Error":
        if (args.code === "unauthorized") return void (this.problem = args.code); // the close follows
        return this.#failed(args);
    }
  }

  #announce(user) {
    this.dispatchEvent(customEvent("user", user));
  }

  /** The RemoveUser may be another agent's: then an Error is still to come. */
  #removedClaimed() {
    const claim = this.#claim;
    clearTimeout(claim.timer);
    claim.timer = setTimeout(() => claim.resolve(true), CLAIM_DOUBT);
  }

  #failed({ code, message }) {
    if (this.#claim) {
      if (code === "already_taken") return this.#claim.resolve(false);
      return this.#claim.reject(new Refusal(code, message));
    }
    if (this.state === "ready") return;
    if (code === "unavailable") return this.#connection.restart();
    this.#connection.close();
    this.#leave("closed", code);
  }

  #leave(state, problem = "") {
    this.#claim?.reject(new Refusal("unreachable", "The connection was lost."));
    this.#set(state, problem);
  }

  #set(state, problem = "") {
    this.state = state;
    this.problem = problem;
    this.dispatchEvent(customEvent("change"));
  }
}

function address(base, path) {
  return base.replace(/\/+$/, "") + path;
}

/** Ids of messages count per role. */
function identity({ from, messageId }) {
  return `${from} ${messageId}`;
}
