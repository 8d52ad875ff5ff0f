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
 * What a Chat has, the methods and fields beside the event that tells of their changes:
 *
 * | event | detail | about |
 * |---|---|---|
 * | `change` | | `state`, `problem`, `ended`, `participant`, `outbox`; `open()`, `close()`, `end()`, `send(text)`, `retry(id)`, `discard(id)` |
 * | `history` | | `messages` is new as a whole |
 * | `message` | Message | one was added to `messages`, also one that came while the connection was lost |
 * | `receipt` | `{from, delivered, read}` | a side's marks have grown: `receipts.of(message)` is `sent`, `delivered` or `read` for a message of one's own, `receipts.unread` counts those of the other side that no device of this one has read; `receipts.read()` when the person sees them |
 * | `typing` | `{from, typing, text}` | the other side types or does not any more: `typing.other`; `typing.key(text)` on each change of the message field, `typing.stop()` when it loses the focus; `typing.preview = true` shows a visitor's text to the agent |
 * | `presence` | `{from, state}` | the other side is `online`, `away` or `offline`: `presence.other`, "" while it is not known; this side's state is that of the page |
 * | `queue` | Place or null | a waiting visitor's place: `queue` |
 * | `rated` | Rating | the visitor has rated the chat: `rating`; `rate(score, comment)` |
 *
 * A server may know none of this but messages: then the other events do not come, nothing is sent
 * that it does not take, `receipts.unread` counts what this page has read, and end() leaves.
 *
 * @module
 *
 * @typedef {{userId: string, chatId: string, username: string, verified?: true}} User a registered
 *            visitor; to agents, verified if their site has vouched for them
 * @typedef {{userId: string, supportId: string, content: string, timestamp: string,
 *            from: "User"|"Support", messageId?: string, seq?: number}} Message as the server delivers
 *            it; seq is 1 for the chat's first
 * @typedef {{messageId: string, content: string, problem?: string}} Outgoing a message without a
 *            receipt; problem is the code of its refusal, and such a one waits for retry or discard
 * @typedef {User & {role: "User"|"Support", supportId?: string, supportUserName?: string}} Participant
 *            all that is needed to come back to a chat; plain JSON. An agent's needs a
 *            supportUserName; the supportId is the server's to give.
 * @typedef {{from: ""|"User"|"Support", timestamp: string}} Ending
 * @typedef {{position: number, waiting: number, estimate: number|null}} Place position: 1 is next, 0
 *            has been claimed by an agent who is about to come; waiting: all who wait; estimate: in
 *            seconds, null if it cannot be known
 * @typedef {{score: number, comment?: string, timestamp: string}} Rating
 * @typedef {object} Link what a part of a Chat needs of it
 * @property {"User"|"Support"} role
 * @property {"User"|"Support"} other the other side
 * @property {Message[]} messages
 * @property {(type: string, args: object) => boolean} signal sends what needs no answer; false if it
 *           cannot be sent now, or to this server
 * @property {(type: string, detail: object) => void} tell dispatches an event
 * @property {() => void} renew the chat's life has been renewed
 */

import { address, Connection, HEARTBEAT } from "./connection.js";
import { Delivery } from "./delivery.js";
import { customEvent } from "./native.js";
import { Presence } from "./presence.js";
import { Receipts } from "./receipts.js";
import { Requests } from "./requests.js";
import { Typing } from "./typing.js";

export { Lobby } from "./lobby.js";
export { Refusal } from "./refusal.js";
export { expiryIn, nameIn, register, status, subjectIn, tokenCounts } from "./registration.js";

/** A chat that has all the sockets it may have is tried again after this time, in ms. */
const CROWDED = 10_000;
/** Typing renews a chat for this long after its last message or Join, in ms. */
const RENEWABLE = 10 * 60_000;

/** What a Join asks for. A server that does not know one of them ignores it. */
const COMMON = ["messageId", "receipts", "typing", "presence", "close", "rating"];
const FEATURES = { User: [...COMMON, "queue"], Support: [...COMMON, "preview"] };

/** The most characters (code points) that a message may have. */
export const MAX_CONTENT = 8_000;
/** The most characters (code points) that a rating's comment may have. */
export const MAX_COMMENT = 1_000;

/**
 * One participant's end of a chat. It stays joined through lost connections; what is sent arrives
 * once and in order, or is refused and stays in the outbox. The head of this file lists the events.
 */
export class Chat extends EventTarget {
  /**
   * - connecting: on the way to the first answer
   * - waiting: joined, no agent yet
   * - connected: joined, visitor and agent have the chat
   * - offline: the connection is lost, a new one is on the way; with the problem `chat_full` the
   *   chat has all the sockets that it may have, those of other tabs for instance
   * - ended: the chat was ended by somebody or has expired; `ended` says which. One that somebody
   *   has ended can still be rated, so its connection stays until the chat is gone or close() is called
   * - closed: left by close(), or the server refuses this participant: then `problem` is the code
   * @type {"connecting"|"waiting"|"connected"|"offline"|"ended"|"closed"}
   */
  state = "connecting";
  problem = "";
  /** Who has ended the chat and when; both are "" if it has expired. @type {Ending|null} */
  ended = null;
  /** @type {Message[]} oldest first */
  messages = [];
  /** A waiting visitor's place; null while it is not known. @type {Place|null} */
  queue = null;
  /** The visitor's rating, the last one counts. @type {Rating|null} */
  rating = null;
  /** Whether a server of this chat has shown that it knows more than messages, such as end() and rate(). */
  extended = false;
  /** Whether a chat that somebody has ended is gone, so that it cannot be rated any more. */
  gone = false;
  /** When something last renewed the chat's life, as far as is known here, in ms of Date.now(). */
  renewed = Date.now();

  #connection;
  #token;
  #joined = false;
  #extended = false; // this server has shown that it knows more than messages
  #spoken = Date.now(); // the last message or Join, in ms of Date.now()
  #crowded = ""; // chat_full, if that was the answer to the last Join
  #seen = new Set();
  #delivery;
  #requests = new Requests((type, args) => this.#connection.send(type, args));

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
    const link = this.#link();
    this.#delivery = new Delivery(outbox, {
      send: (entry) => this.#say(entry),
      changed: () => this.#changed(),
      silent: () => this.#connection.restart(),
    });
    this.receipts = new Receipts(link);
    this.typing = new Typing(link);
    this.presence = new Presence(link);
    const pong = participant.role === "Support" ? "pong:support" : "pong:user";
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
      role,
      other: role === "Support" ? "User" : "Support",
      get messages() {
        return chat.messages;
      },
      signal: (type, args) => this.#signal(type, args),
      tell: (type, detail) => this.dispatchEvent(customEvent(type, detail)),
      renew: () => this.#renew(),
    };
  }

  /** Connects and joins; after `closed` it tries anew. */
  open() {
    this.#set("connecting");
    this.presence.open();
    this.#connection.open();
  }

  /** Leaves for good. The chat itself lives on at the server. */
  close() {
    this.receipts.flush();
    this.ended = null;
    this.#stop("closed");
  }

  /**
   * Ends the chat on both sides, once there is a connection. A server that cannot do so, or does
   * not let this participant, is left instead: then the state is `closed`.
   * @returns {Promise<void>} when it is over
   */
  async end() {
    try {
      if (!this.ended) await this.#requests.ask("CloseChat");
    } catch {
      if (!this.ended && this.state !== "closed") this.close();
    }
  }

  /**
   * Rates the chat, also after its end. The last rating counts.
   * @param {number} score 1 to 5
   * @param {string} comment at most MAX_COMMENT characters, or ""
   * @returns {Promise<void>} when the server has it
   * @throws {Refusal} `expired` if the chat is gone, `closed` if it was left
   */
  async rate(score, comment = "") {
    await this.#requests.ask("Rate", { score, comment: comment || undefined });
  }

  /**
   * Takes a message for delivery, also while offline.
   * @param {string} content 1 to MAX_CONTENT characters
   */
  send(content) {
    this.typing.stop();
    this.#delivery.send(content);
  }

  /** Sends a refused message again, behind what else is waiting. @param {string} messageId */
  retry(messageId) {
    this.#delivery.retry(messageId);
  }

  /** Forgets a refused message. @param {string} messageId */
  discard(messageId) {
    this.#delivery.discard(messageId);
  }

  #join() {
    this.#crowded = "";
    const { role, userId, username, supportId, supportUserName } = this.participant;
    this.#connection.send("Join", {
      userId, username, supportId, from: role, features: FEATURES[role], heartbeat: HEARTBEAT / 1_000,
      supportUserName: role === "Support" && !this.#token() ? supportUserName : undefined,
    });
  }

  #say({ messageId, content }) {
    const { role, userId, supportId = "" } = this.participant;
    this.#connection.send("ChatMessage", { userId, supportId, from: role, content, messageId });
  }

  #receive(type, args) {
    if (EXTENSIONS.has(type)) this.#extend();
    switch (type) {
      case "UserJoined": // waiting, unless SupportJoinedUser follows
        if (this.#joined) return;
        delete this.participant.supportId;
        delete this.participant.supportUserName;
        this.presence.forget();
        return this.#enter("waiting");
      case "SupportJoinedUser": {
        const { supportId, supportUserName, username } = args;
        Object.assign(this.participant, { supportId, supportUserName, username });
        this.#place(null);
        return this.#enter("connected");
      }
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
        if (args.code === "unauthorized") return void (this.problem = args.code); // the close follows
        return this.#joined ? this.#refused(args) : this.#joinFailed(args);
    }
  }

  /** Sends what is worth no refusal to a server that takes it. @returns {boolean} whether it was sent */
  #signal(type, args) {
    if (!this.#joined || !this.#extended) return false;
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
const EXTENSIONS = new Set(["Receipt", "Typing", "Presence", "Queue", "ChatClosed", "Rated"]);

/** Ids of messages count per role. */
function identity({ from, messageId }) {
  return `${from} ${messageId}`;
}
