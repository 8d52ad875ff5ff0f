import { address, Connection, HEARTBEAT, PATIENCE } from "./connection.js";
import { clearTimeout, customEvent, setTimeout } from "./native.js";
import { Refusal } from "./refusal.js";
import { subjectIn } from "./registration.js";

/** How long after a claim's RemoveUser an Error may still come, in ms. */
const CLAIM_DOUBT = 300;
/** A list of agents that comes within this time after a Status, in ms, may be older than the Status. */
const SETTLES = 3_000;

/**
 * An agent's view of the lobby: the waiting visitors, offers to this agent, colleagues, and for
 * supervisors all chats. An older lobby only has the waiting visitors; then `colleagues` is null.
 *
 * Events: `change` (of anything), `user` (detail: a User who has begun to wait while connected), `offer`
 * (detail: a new Offer), `chat` (detail: a Talk, for supervisors).
 *
 * @typedef {import("./client.js").User & {expires: string, from?: string, note?: string}} Offer a user
 *          who is offered to this agent until then; from: the colleague who has transferred them, with a note
 * @typedef {{agent: string, supportUserName: string, status: "online"|"away", chats: number,
 *            capacity: number, teams?: string[]}} Colleague capacity: 0 means any number
 * @typedef {import("./client.js").User & {agent: string, supportId: string, supportUserName: string,
 *            team?: string, since: string}} Talk a chat with an agent; since: when the agent joined
 */
export class Lobby extends EventTarget {
  /** ready: the users are the server's current list. @type {"connecting"|"ready"|"offline"|"closed"} */
  state = "connecting";
  /** The code of the refusal, when closed. */
  problem = "";
  /** @type {Map<string, import("./client.js").User>} pending users by userId, longest waiting first */
  users = new Map();
  /** @type {Map<string, Offer>} by userId */
  offers = new Map();
  /** All connected agents, including this one; null while unknown. @type {Colleague[]|null} */
  colleagues = null;
  /** Whether the lobby has sent colleagues, so that the chat servers support notes and transfers. */
  extended = false;
  /** For supervisors: all chats with an agent, by chatId. @type {Map<string, Talk>} */
  chats = new Map();
  /** This agent's status. @type {{status: "online"|"away", capacity: number}} */
  status = { status: "online", capacity: 0 };

  #connection;
  #token;
  #profile;
  #said = -Infinity; // when this agent's status was last sent
  #following = 0; // timer
  #claim = null;
  #known = new Set(); // every user that was in the list
  #loaded = false; // loaded before: new users in a later list came while the connection was lost

  /**
   * @param {string} base the lobby's URL
   * @param {() => string} token the agent's token, if agents need one
   * @param {() => {name?: string, supervises?: boolean}} profile name: without a token;
   *        supervises: whether to ask for all chats
   */
  constructor(base, token = () => "", profile = () => ({})) {
    super();
    this.#token = token;
    this.#profile = profile;
    this.#connection = new Connection(address(base, "/users"), "pong:support", {
      open: () => this.#load(),
      receive: (type, args) => this.#receive(type, args),
      lost: () => this.#leave("offline"),
      refused: () => this.#leave("closed", this.problem || "forbidden"),
      ask: () => this.#load(),
    }, token);
  }

  /** Connects and loads. After `closed` it tries again. */
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
   * @returns {Promise<boolean>} false if another agent was faster
   * @throws {Refusal} if it is unknown who has the user
   */
  async claim({ userId, chatId, username }) {
    if (this.#claim || this.state !== "ready") throw new Refusal("unreachable", "The lobby is not connected, or another claim is under way.");
    try {
      return await new Promise((resolve, reject) => {
        const silent = () => reject(new Refusal("unreachable", "The lobby does not answer."));
        this.#claim = { userId, resolve, reject, timer: setTimeout(silent, PATIENCE) };
        this.#connection.send("JoinUser", { userId, chatId, username });
      });
    } finally {
      clearTimeout(this.#claim.timer);
      this.#claim = null;
      this.offers.delete(userId);
    }
  }

  /** Declines an offer, so that another agent gets it. @param {Offer} offer */
  decline({ userId, chatId }) {
    this.#connection.send("Decline", { userId, chatId });
    this.offers.delete(userId);
    this.#set(this.state);
  }

  /** Sets whether this agent takes chats, and how many. @param {{status?: "online"|"away", capacity?: number}} status */
  setStatus(status) {
    this.status = { ...this.status, ...status };
    this.#said = Date.now();
    if (this.colleagues) this.#connection.send("Status", this.status);
    this.#set(this.state);
  }

  /** Sends the profile again, and gets the list again. */
  refresh() {
    if (this.state === "ready") this.#load();
  }

  #load() {
    const { name, supervises } = this.#profile();
    const features = ["verified", "details", "agents", "offers", ...(supervises ? ["chats"] : [])];
    this.#connection.send("Load", { batch: true, features, heartbeat: HEARTBEAT / 1_000, supportUserName: this.#token() ? undefined : name });
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
        if (args.since) this.#sort();
        else if (this.#known.has(args.userId)) this.#load(); // the user is back, perhaps at an earlier place
        this.#known.add(args.userId);
        this.#set(this.state);
        return this.#announce(args);
      case "UserChanged":
        if (this.users.has(args.userId)) this.users.set(args.userId, args);
        return this.#set(this.state);
      case "Agents":
        return this.#agents(args.agents);
      case "Offer":
        return this.#offer(args);
      case "OfferGone":
        this.offers.delete(args.userId);
        return this.#set(this.state);
      case "Chat":
        this.chats.set(args.chatId, args);
        this.#set(this.state);
        return void this.dispatchEvent(customEvent("chat", args));
      case "ChatGone":
        this.chats.delete(args.chatId);
        return this.#set(this.state);
      case "RemoveUser":
        this.users.delete(args.userId);
        if (args.userId === this.#claim?.userId) this.#removedClaimed();
        return this.#set(this.state);
      case "Error":
        if (args.code === "unauthorized") return void (this.problem = args.code); // a close frame follows
        return this.#failed(args);
    }
  }

  #sort() {
    const since = ([, user]) => user.since ?? "";
    const users = [...this.users];
    if (users.length > 1 && since(users.at(-1)) < since(users.at(-2))) {
      this.users = new Map(users.sort((a, b) => (since(a) < since(b) ? -1 : Number(since(a) > since(b)))));
    }
  }

  #agents(agents) {
    const first = this.colleagues === null;
    this.colleagues = agents;
    this.extended = true;
    this.#connection.promised();
    const own = this.self;
    const usual = ({ status, capacity }) => status === "online" && capacity === 0;
    // A status ends with the agent's last connection.
    if (first && !usual(this.status) && (!own || usual(own))) return this.setStatus({});
    this.#follow();
    this.#set(this.state);
  }

  /** This agent in the list, if that is known, which takes tokens. @returns {Colleague|undefined} */
  get self() {
    const sub = subjectIn(this.#token());
    return sub ? this.colleagues?.find(({ agent }) => agent === sub) : undefined;
  }

  /** The status may have been set on another device. */
  #follow() {
    clearTimeout(this.#following);
    const own = this.self;
    if (!own || (own.status === this.status.status && own.capacity === this.status.capacity)) return;
    const settled = this.#said + SETTLES - Date.now();
    if (settled > 0) {
      this.#following = setTimeout(() => this.#follow(), settled);
      return;
    }
    this.status = { status: own.status, capacity: own.capacity };
    this.#set(this.state);
  }

  /** All connected agents except this one. @returns {Colleague[]} */
  get others() {
    const all = this.colleagues ?? [];
    const sub = subjectIn(this.#token());
    if (sub) return all.filter(({ agent }) => agent !== sub);
    // Without tokens each connection is an agent, and the server does not say which one is this one.
    const { name } = this.#profile();
    const own = all.findIndex((one) => one.supportUserName === name && one.status === this.status.status);
    return all.filter((_, i) => i !== own);
  }

  #offer(offer) {
    const fresh = !this.offers.has(offer.userId);
    this.offers.set(offer.userId, offer);
    this.#set(this.state);
    if (fresh) this.dispatchEvent(customEvent("offer", offer));
  }

  #announce(user) {
    this.dispatchEvent(customEvent("user", user));
  }

  /** Another agent may have caused the RemoveUser: then an Error follows. */
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
    // The server sends the current state again.
    this.offers.clear();
    this.chats.clear();
    this.colleagues = null;
    this.#set(state, problem);
  }

  #set(state, problem = "") {
    this.state = state;
    this.problem = problem;
    this.dispatchEvent(customEvent("change"));
  }
}
