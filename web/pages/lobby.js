import { address, Connection, HEARTBEAT, PATIENCE } from "./connection.js";
import { clearTimeout, customEvent, setTimeout } from "./native.js";
import { Refusal } from "./refusal.js";

/** After a claim's RemoveUser an agent waits this long for a contradiction, in ms. */
const CLAIM_DOUBT = 300;

/**
 * The lobby as an agent sees it. Events: `change` (of state or users), `user` (detail: the User
 * who has begun to wait while the agent was looking).
 */
export class Lobby extends EventTarget {
  /** ready: the users are the server's present list. @type {"connecting"|"ready"|"offline"|"closed"} */
  state = "connecting";
  /** The code of the refusal, when closed. */
  problem = "";
  /** @type {Map<string, import("./client.js").User>} pending users by userId, longest waiting first */
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
      ask: () => this.#load(),
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
   * @param {import("./client.js").User} user
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
    this.#connection.send("Load", { batch: true, features: ["verified"], heartbeat: HEARTBEAT / 1_000 });
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
