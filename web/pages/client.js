/**
 * A client of the chat server (port 9000) and the lobby (port 9001) for browsers: it connects, answers
 * the heartbeat, reconnects, rejoins, and delivers each message once. It has no dependencies and does
 * not depend on any page. The widget and the agents' console are built on it, and so can be your pages:
 *
 *     import { Chat, register } from "https://HOST/client.js";
 *     const chat = new Chat("https://HOST", await register("https://HOST", "Nika"));
 *     chat.addEventListener("message", ({ detail }) => console.log(detail.from, detail.content));
 *     chat.open();
 *     chat.send("Hello");
 *
 * A Chat has these events. The last column has the fields and methods that belong to each event:
 *
 * | event | detail | about |
 * |---|---|---|
 * | `change` | | `state`, `problem`, `ended`, `participant`, `outbox`; `open()`, `close()`, `end()`, `send(text, files)`, `retry(id)`, `discard(id)` |
 * | `history` | | `messages` was replaced |
 * | `message` | Message | a message was added to `messages`, possibly from the time of a lost connection |
 * | `receipt` | `{from, delivered, read}` | a side's marks have changed: `receipts.of(message)` is `sent`, `delivered` or `read` for a message of this side; `receipts.unread` counts the other side's messages that no device of this side has read; call `receipts.read()` when the person sees them |
 * | `typing` | `{from, typing, text}` | the other side is typing or has stopped: `typing.other`; call `typing.key(text)` on each change of the message field, and `typing.stop()` when it loses the focus; `typing.preview = true` shows a visitor's text to the agent |
 * | `presence` | `{from, state}` | the other side is `online`, `away` or `offline`: `presence.other`, "" while unknown; this side's state is that of the page |
 * | `queue` | Place or null | a waiting visitor's place: `queue` |
 * | `left` | Leaving | the chat no longer has an agent and waits for the next one: `left`, until the next one comes. The former agent's own state is `closed`, with the problem `released`; `transfer(to, note)` transfers a chat |
 * | `note` | Note | an agent has written a note, which visitors never see: `notes`; `note(content)` writes one |
 * | `rated` | Rating | the visitor has rated the chat: `rating`; `rate(score, comment)` |
 *
 * A server may support only messages. Then the other events do not come, the client sends nothing that
 * the server does not support, `receipts.unread` counts what this page has not read, and end() leaves.
 *
 * If `status(base)` has `files`, messages can have files of that size and those types:
 *
 *     const stop = new AbortController();
 *     const file = await chat.upload(picked, { progress: (part) => bar.value = part, signal: stop.signal });
 *     chat.send("It looks like this", [file]);
 *
 * A received message has its files as `files`, and `chat.addressOf(file)` returns the URL of one. An
 * uploaded photograph reveals where it was taken, unless you upload `await withoutMetadata(picked)`.
 *
 * Before a chat, an Availability tells whether agents are available: call `ask()`, and read `state` and
 * `status` after the event `change`. `leave(base, message)` leaves a message while no agent is; agents
 * read left messages with `leftMessages` and `finishMessage`.
 *
 * An Observer watches a chat without being seen: it has the events of both sides, and the methods
 * note(), transfer() and end(). lobby.js describes the Lobby, which has the waiting visitors, offers,
 * colleagues and all chats.
 *
 * @module
 *
 * @typedef {{userId: string, chatId: string, username: string, verified?: true, since?: string,
 *            team?: string, message?: string, details?: {page?: string, referrer?: string,
 *            language?: string, fields?: Record<string, string>}}} User a registered visitor; the rest
 *            is for agents: verified if the site has confirmed their identity, since: the beginning of the
 *            wait, message: the beginning of their latest message
 * @typedef {{userId: string, supportId: string, content: string, timestamp: string,
 *            from: "User"|"Support", messageId?: string, seq?: number,
 *            files?: import("./uploads.js").Attachment[]}} Message as the server delivers it; seq is 1
 *            for the chat's first; content may be empty if there are files
 * @typedef {{messageId: string, content: string, files?: import("./uploads.js").Attachment[],
 *            problem?: string}} Outgoing a message without a receipt; problem is the code of its
 *            refusal; a refused message waits for retry or discard
 * @typedef {User & {role: "User"|"Support"|"Observer", supportId?: string, supportUserName?: string,
 *            observerName?: string, agents?: Record<string, string>, left?: Leaving}} Participant
 *            everything needed to come back to a chat, as plain JSON. An agent needs a
 *            supportUserName, an Observer an observerName; the server sets the supportId.
 *            agents: the names of all agents that the chat has had, by supportId, as far as known
 * @typedef {{supportId?: string, supportUserName: string, reason: "transfer"|"lost"|""}} Leaving the
 *            agent has transferred the chat, or was gone for too long; "": unknown
 * @typedef {{content: string, supportId: string, supportUserName: string, timestamp: string}} Note
 * @typedef {{to: "queue"}|{to: "agent", agent: string}|{to: "team", team: string}} Target
 * @typedef {{from: ""|"User"|"Support", timestamp: string}} Ending
 * @typedef {{position: number, waiting: number, estimate: number|null}} Place position: 1 is next, 0
 *            is claimed by an agent who is about to join; waiting: the number of waiting visitors;
 *            estimate: in seconds, null if unknown
 * @typedef {{score: number, comment?: string, timestamp: string}} Rating
 * @typedef {object} Link the Chat, from the view of its parts
 * @property {"User"|"Support"} role the side; an Observer has the agent's
 * @property {boolean} looksOn whether this is an Observer, who has no marks and no presence of its own
 * @property {"User"|"Support"} other the other side
 * @property {Message[]} messages
 * @property {(type: string, args: object) => boolean} signal sends a frame without an answer; false if it cannot
 *           be sent now, or the server does not support it
 * @property {(type: string, detail: object) => void} tell dispatches an event
 * @property {() => void} renew records that the chat's life was renewed
 * @property {import("./requests.js").Requests} requests
 * @property {import("./agents.js").Agents} agents
 */

import { Agents } from "./agents.js";
import { address, Connection, HEARTBEAT } from "./connection.js";
import { Delivery } from "./delivery.js";
import { customEvent } from "./native.js";
import { Notes } from "./notes.js";
import { Presence } from "./presence.js";
import { Receipts } from "./receipts.js";
import { Requests } from "./requests.js";
import { Typing } from "./typing.js";
import { addressOf, upload } from "./uploads.js";

export { Availability } from "./availability.js";
export { Lobby } from "./lobby.js";
export { contentType, withoutMetadata } from "./metadata.js";
export { Refusal } from "./refusal.js";
export { cannedReplies, clockAhead, expiryIn, finishMessage, leave, leftMessages, nameIn, register, roleIn, status, subjectIn, tokenCounts } from "./registration.js";

/** The pause before another try to join a chat with the maximum number of sockets, in ms. */
const CROWDED = 10_000;
/** How long after the last message or Join typing still renews a chat, in ms. */
const RENEWABLE = 10 * 60_000;

/** The features for a Join. Servers ignore unknown ones. */
const COMMON = ["messageId", "receipts", "typing", "presence", "close", "rating", "transfer", "files"];
const FEATURES = { User: [...COMMON, "queue"], Support: [...COMMON, "preview", "notes"], Observer: [...COMMON, "notes"] };

/** The maximum number of characters (code points) in a message or a note. */
export const MAX_CONTENT = 8_000;
/** The maximum number of characters (code points) in a rating's comment. */
export const MAX_COMMENT = 1_000;
/** The maximum number of files in a message. */
export const MAX_FILES = 5;

/**
 * One participant's end of a chat. It rejoins after a lost connection. A message arrives once and in
 * order, or is refused and stays in the outbox. The head of this file lists the events.
 */
export class Chat extends EventTarget {
  /**
   * - connecting: there was no answer yet
   * - waiting: joined, but without an agent
   * - connected: joined, with a visitor and an agent
   * - offline: the connection is lost, and the Chat is reconnecting; with the problem `chat_full` the
   *   chat has the maximum number of sockets, for instance in other tabs
   * - ended: somebody has ended the chat, or it has expired; `ended` says which. A chat that somebody
   *   has ended can still be rated, so its connection stays until the chat is gone or close() is called
   * - closed: left by close(), or refused by the server: then `problem` is the code, `released` if this
   *   agent no longer has the chat
   * @type {"connecting"|"waiting"|"connected"|"offline"|"ended"|"closed"}
   */
  state = "connecting";
  problem = "";
  /** Who has ended the chat and when; both are "" if it has expired. @type {Ending|null} */
  ended = null;
  /** @type {Message[]} oldest first */
  messages = [];
  /** A waiting visitor's place; null while unknown. @type {Place|null} */
  queue = null;
  /** The visitor's rating. The last one counts. @type {Rating|null} */
  rating = null;
  /** Whether the server supports extensions such as end() and rate(). */
  extended = false;
  /** Whether an ended chat is gone, so that it can no longer be rated. */
  gone = false;
  /** When the chat's life was last renewed, as far as is known here, in ms of Date.now(). */
  renewed = Date.now();

  #agents;
  #base;
  #connection;
  #token;
  #joined = false;
  #extended = false; // the server supports extensions
  #spoken = Date.now(); // the last message or Join, in ms of Date.now()
  #crowded = ""; // chat_full if that was the answer to the last Join
  #seen = new Set();
  #delivery;
  #notes;
  #requests = new Requests((type, args) => this.#connection.send(type, args));

  /**
   * @param {string} base the chat server's URL
   * @param {Participant} participant is updated in place
   * @param {Outgoing[]} outbox messages that an earlier page could not send; is updated in place
   * @param {() => string} token the agent's token, if agents need one; then it has their name
   */
  constructor(base, participant, outbox = [], token = () => "") {
    super();
    this.#base = base;
    this.participant = participant;
    this.outbox = outbox;
    this.#agents = new Agents(participant);
    const link = this.#link();
    this.#delivery = new Delivery(outbox, {
      send: (entry) => this.#say(entry),
      changed: () => this.#changed(),
      silent: () => this.#connection.restart(),
    });
    this.receipts = new Receipts(link);
    this.typing = new Typing(link);
    this.presence = new Presence(link);
    this.#notes = new Notes(link);
    const pong = participant.role === "User" ? "pong:user" : "pong:support";
    this.#connection = new Connection(address(base, `/chat/${participant.chatId}`), pong, {
      open: () => this.#join(),
      receive: (type, args) => this.#receive(type, args),
      lost: () => this.#leave("offline", this.#crowded),
      refused: () => this.#stop("closed", this.problem || "forbidden"),
      leaving: () => this.receipts.flush(),
    }, token);
    this.#token = token;
  }

  /** @returns {Link} */
  #link() {
    const chat = this;
    const { role } = this.participant;
    return {
      role: role === "User" ? "User" : "Support",
      other: role === "User" ? "Support" : "User",
      looksOn: role === "Observer",
      requests: this.#requests,
      agents: this.#agents,
      get messages() {
        return chat.messages;
      },
      signal: (type, args) => this.#signal(type, args),
      tell: (type, detail) => this.dispatchEvent(customEvent(type, detail)),
      renew: () => this.#renew(),
    };
  }

  /** Connects and joins. After `closed` it tries again. */
  open() {
    this.#set("connecting");
    this.presence.open();
    this.#connection.open();
  }

  /** Leaves for good, without ending the chat. */
  close() {
    this.receipts.flush();
    this.ended = null;
    this.#stop("closed");
  }

  /**
   * Ends the chat for both sides, once there is a connection. If the server cannot end chats, or does
   * not allow this participant to, end() only leaves: then the state is `closed`.
   * @returns {Promise<void>} when the chat has ended
   */
  async end() {
    try {
      if (!this.ended) await this.#requests.ask("CloseChat");
    } catch {
      if (!this.ended && this.state !== "closed") this.close();
    }
  }

  /**
   * Rates the chat. This also works after its end. The last rating counts.
   * @param {number} score 1 to 5
   * @param {string} comment at most MAX_COMMENT characters, or ""
   * @returns {Promise<void>} when the server has it
   * @throws {Refusal} `expired` if the chat is gone, `closed` if it was left
   */
  async rate(score, comment = "") {
    await this.#requests.ask("Rate", { score, comment: comment || undefined });
  }

  /**
   * Transfers the chat. After that, this agent no longer has it.
   * @param {Target} to
   * @param {string} [note] for the next agent, at most MAX_CONTENT characters
   * @returns {Promise<void>} when it is done
   * @throws {Refusal} `not_found` if there is no such agent or team; then the chat is unchanged
   */
  async transfer(to, note = "") {
    await this.#requests.ask("Transfer", { ...to, note: note || undefined });
  }

  /** The notes of the team, oldest first. @returns {Note[]} */
  get notes() {
    return this.#notes.all;
  }

  /**
   * Writes a note for the team, once there is a connection.
   * @param {string} content 1 to MAX_CONTENT characters
   * @returns {Promise<void>} when the server has stored it
   * @throws {Refusal}
   */
  note(content) {
    return this.#notes.add(content);
  }

  /** The agent who has left, if the chat waits for the next one. @returns {Leaving|null} */
  get left() {
    return this.participant.left ?? null;
  }

  /** The name of a message's author, "" if unknown. @param {Message} message */
  nameOf(message) {
    return this.#agents.nameOf(message);
  }

  /**
   * Queues a message for delivery, even while offline.
   * @param {string} content 1 to MAX_CONTENT characters; with files it can be ""
   * @param {import("./uploads.js").Attachment[]} [files] at most MAX_FILES that were uploaded here
   */
  send(content, files = []) {
    this.typing.stop();
    this.#delivery.send(content, files);
  }

  /**
   * Uploads a file to the server, which deletes it after 10 minutes unless a message has it.
   * @param {Blob} file
   * @param {{name?: string, progress?: (part: number) => void, signal?: AbortSignal}} [options] name:
   *        instead of the file's own; progress gets the uploaded part, 0 to 1
   * @returns {Promise<import("./uploads.js").Attachment>}
   * @throws {Refusal} there are no retries; `aborted` after the signal
   */
  upload(file, options) {
    return upload(this.#base, this.participant, this.#token(), file, options);
  }

  /** The URL of a message's file, "" if it is not an HTTP URL. @param {import("./uploads.js").Attachment} file */
  addressOf(file) {
    return addressOf(this.#base, file);
  }

  /** Sends a refused message again, after the waiting ones. @param {string} messageId */
  retry(messageId) {
    this.#delivery.retry(messageId);
  }

  /** Forgets a refused message. @param {string} messageId */
  discard(messageId) {
    this.#delivery.discard(messageId);
  }

  #join() {
    this.#crowded = "";
    const { role, userId, username, supportId, supportUserName, observerName } = this.participant;
    const name = { Support: supportUserName, Observer: observerName }[role];
    this.#connection.send("Join", {
      userId, username, supportId: role === "Observer" ? undefined : supportId, from: role,
      features: FEATURES[role], heartbeat: HEARTBEAT / 1_000, supportUserName: this.#token() ? undefined : name,
    });
  }

  #say({ messageId, content, files }) {
    const { role, userId, supportId = "" } = this.participant;
    this.#connection.send("ChatMessage", { userId, supportId, from: role, content, messageId, files: files?.map(({ fileId }) => fileId) });
  }

  #receive(type, args) {
    if (EXTENSIONS.has(type)) this.#extend();
    switch (type) {
      case "UserJoined": // waiting, unless SupportJoinedUser follows
        if (this.#joined) return;
        this.#agents.none();
        this.presence.forget();
        return this.#enter("waiting");
      case "SupportJoinedUser":
        this.#agents.joined(args);
        this.#place(null);
        return this.#enter("connected");
      case "SupportLeft":
        return this.#released(args);
      case "Note":
        return this.#notes.take(args);
      case "ChatHistory":
        return this.#replace(args.messages);
      case "ChatMessage":
        return this.#add(args);
      case "Receipt":
        return this.receipts.take(args);
      case "Typing":
        return this.typing.take(args);
      case "Presence":
        return this.presence.take(args);
      case "Queue":
        return this.#place(args);
      case "Rated":
        this.rating = args;
        this.dispatchEvent(customEvent("rated", args));
        return this.#requests.answer("Rate", args, ({ score, comment }) => score === args.score && comment === args.comment);
      case "ChatClosed":
        return this.#over({ from: args.from, timestamp: args.timestamp }, "chat_closed");
      case "ChatExpired":
        this.#over(this.ended ?? { from: "", timestamp: "" }, "expired");
        return this.#stop("ended");
      case "Error":
        if (args.code === "unauthorized") return void (this.problem = args.code); // a close frame follows
        return this.#joined ? this.#refused(args) : this.#joinFailed(args);
    }
  }

  #released(leaving) {
    this.#agents.left(leaving);
    this.typing.left();
    this.presence.forget();
    this.#requests.answer("Transfer", leaving);
    this.dispatchEvent(customEvent("left", leaving));
    if (this.participant.role === "Support") this.#stop("closed", "released");
    else if (this.#joined) this.#set("waiting");
  }

  /** Sends a frame without an answer, if the server supports it. @returns {boolean} whether it was sent */
  #signal(type, args) {
    if (!this.#joined || !this.#extended || this.participant.role === "Observer") return false;
    if (type === "Typing" && this.state !== "connected") return false;
    if (type === "Presence" && this.ended) return false;
    this.#connection.send(type, args);
    return true;
  }

  #extend() {
    if (this.#extended) return;
    this.#extended = this.extended = true;
    this.#connection.promised();
    this.presence.announce();
  }

  #renew() {
    if (Date.now() - this.#spoken < RENEWABLE) this.renewed = Date.now();
  }

  #place(queue) {
    if (queue === this.queue) return;
    this.queue = queue;
    this.dispatchEvent(customEvent("queue", queue));
  }

  /** Nobody can write any more. What has not been sent stays, with a problem. */
  #over(ended, problem) {
    this.ended = ended;
    this.typing.left();
    this.#place(null);
    this.#set("ended");
    this.#delivery.over(problem);
    this.#requests.answer("CloseChat", ended);
  }

  /** A chat only grows: after a lost connection its history begins with what is known already. */
  #replace(messages) {
    const known = this.messages.length;
    const [last, same] = [this.messages[known - 1], messages[known - 1]];
    const grown = known > 0 && same?.timestamp === last.timestamp && same.content === last.content;
    if (messages.some(({ seq }) => seq)) this.#extend();
    if (grown) {
      // A server that was replaced meanwhile may number what came without a number.
      for (let at = 0; at < known; at++) this.messages[at].seq ??= messages[at].seq;
      for (const message of messages.slice(known)) this.#add(message);
    } else {
      this.messages = messages;
      this.#seen = new Set(messages.map(identity));
      this.receipts.came();
      this.dispatchEvent(customEvent("history"));
      this.#delivery.arrived(messages.filter(({ from }) => from === this.participant.role));
    }
    if (!this.#joined) this.#enter(this.participant.supportId ? "connected" : "waiting");
    this.#notes.again();
  }

  #add(message) {
    const id = identity(message);
    if (message.seq) this.#extend();
    if (message.messageId && this.#seen.has(id)) return; // the answer to a message sent twice
    this.#seen.add(id);
    this.messages.push(message);
    this.renewed = this.#spoken = Date.now();
    this.typing.wrote(message.from);
    this.receipts.came();
    this.dispatchEvent(customEvent("message", message));
    this.#delivery.arrived(message.from === this.participant.role ? [message] : []);
  }

  #refused(error) {
    const { code, messageId } = error;
    if (messageId || !(this.#requests.refuse(error) || this.#extended)) return this.#delivery.refused(error);
    // Signals need no answer. One that is unknown comes from a server that is older than it seemed.
    if (code === "unknown_type") this.#extended = false;
  }

  #joinFailed({ code }) {
    if (code === "unavailable") return this.#connection.restart();
    if (code === "chat_full") {
      this.#crowded = code;
      return this.#connection.restart(CROWDED);
    }
    this.#stop("closed", code);
  }

  #enter(state) {
    const fresh = !this.#joined;
    this.#joined = true;
    this.renewed = this.#spoken = Date.now();
    this.#connection.accepted();
    this.#set(state);
    if (!fresh) return;
    this.presence.joined();
    this.presence.announce();
    this.receipts.joined();
    this.#requests.joined();
    this.#delivery.joined();
  }

  /** The connection is lost. */
  #leave(state, problem = "") {
    this.#joined = this.#extended = false;
    this.#delivery.left();
    this.typing.left();
    this.presence.forget();
    this.#place(null);
    this.#requests.left();
    this.#set(state, problem);
  }

  /** The connection is lost for good. */
  #stop(state, problem = "") {
    this.#connection.close();
    this.presence.close();
    this.gone = this.ended !== null;
    this.#leave(state, problem);
    this.#requests.giveUp(problem || (this.ended ? "expired" : "closed"));
  }

  /** A chat that has ended stays so, whatever becomes of the connection. */
  #set(state, problem = "") {
    this.state = this.ended ? "ended" : state;
    this.problem = this.ended ? "" : problem;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(customEvent("change"));
  }
}

/** Frames that only a server sends which knows more than messages. */
const EXTENSIONS = new Set(["Receipt", "Typing", "Presence", "Queue", "ChatClosed", "Rated", "SupportLeft", "Note"]);

/** Ids of messages count per role. */
function identity({ from, messageId }) {
  return `${from} ${messageId}`;
}
