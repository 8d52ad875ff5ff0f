/**
 * The agents that a chat has had: the present one, their names, and the last one who left. They are
 * stored in the participant, so they survive a reload. A part of client.js.
 */
export class Agents {
  #participant;

  /** @param {import("./client.js").Participant} participant */
  constructor(participant) {
    this.#participant = participant;
  }

  /** An agent has the chat. */
  joined({ supportId, supportUserName, username }) {
    this.named(supportId, supportUserName);
    Object.assign(this.#participant, { supportId, supportUserName, username });
    delete this.#participant.left;
  }

  /** The chat no longer has an agent. @param {import("./client.js").Leaving} leaving */
  left({ supportId, supportUserName, reason }) {
    if (supportId) this.named(supportId, supportUserName);
    this.#participant.left = { supportId, supportUserName, reason };
    delete this.#participant.supportId;
  }

  /** The server says that the chat waits: its agent has left while this client was not connected. */
  none() {
    const { supportId, supportUserName } = this.#participant;
    if (supportId) this.left({ supportId, supportUserName, reason: "" });
    delete this.#participant.supportUserName;
  }

  /** The name of an agent has become known. */
  named(supportId, supportUserName) {
    this.#participant.agents = { ...this.#participant.agents, [supportId]: supportUserName };
  }

  /** The name of a message's author, "" if unknown. @param {import("./client.js").Message} message */
  nameOf({ from, supportId }) {
    const { username, agents = {}, supportId: present, supportUserName } = this.#participant;
    if (from === "User") return username;
    return agents[supportId] ?? ((supportId || present) === present ? supportUserName : "") ?? "";
  }
}
