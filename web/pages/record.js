/** The words for an agent who has left, by the reason. */
const LEFT = { transfer: "recordTransferred", lost: "recordLost" };

/**
 * An archived chat, in the form that a Conversation can show instead of a Chat. It never changes. It has
 * the view of an observer.
 */
export class Record extends EventTarget {
  state = "ended";
  problem = "";
  ended = { from: "", timestamp: "" };
  outbox = [];
  /** @type {import("./client.js").Message[]} */
  messages = [];
  /** The notes and the other events of the chat. An event has its text in `event`. */
  notes = [];
  /** The last rating counts. @type {import("./client.js").Rating|null} */
  rating = null;
  /** An archived chat has no marks, and nobody types in it. */
  receipts = { unread: 0, of: () => "", read() {} };
  typing = { other: { typing: false, text: "" }, preview: false, stop() {}, key() {} };

  /**
   * @param {import("./archive.js").Kept & {log: {type: string, args: object}[]}} kept
   * @param {(file: import("./uploads.js").Attachment) => string} addressOf returns the URL of a file
   */
  constructor({ log, ...kept }, addressOf) {
    super();
    this.addressOf = addressOf;
    this.kept = kept;
    const { userId, chatId, username, verified } = kept;
    this.participant = { role: "Observer", userId, chatId, username, verified, agents: {} };
    for (const { type, args } of log) this.#take(type, args);
    if (!this.ended.from) this.#happened("endedAgent", "", kept.ended);
  }

  #take(type, args) {
    switch (type) {
      case "ChatMessage":
        this.messages.push(args);
        break;
      case "Note":
        this.notes.push(args);
        break;
      case "SupportJoinedUser":
      case "SupportLeft":
        this.participant.agents[args.supportId] = args.supportUserName;
        this.#happened(type === "SupportLeft" ? LEFT[args.reason] ?? LEFT.lost : "recordJoined", args.supportUserName, args.timestamp);
        break;
      case "Rated":
        this.rating = args;
        break;
      case "ChatClosed":
        this.ended = args;
        if (args.from === "User") this.#happened("endedByVisitor", this.participant.username, args.timestamp);
        else this.#happened("endedBySupport", "", args.timestamp);
        break;
      default: // from a later version
    }
  }

  #happened(event, supportUserName, timestamp) {
    this.notes.push({ event, supportUserName, timestamp });
  }

  /** The name of a message's author. @param {import("./client.js").Message} message */
  nameOf({ from, supportId }) {
    const { username, agents } = this.participant;
    return from === "User" ? username : agents[supportId] ?? "";
  }
}
