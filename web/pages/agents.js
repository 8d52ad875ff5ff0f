/**
 * The agents that a chat has had: who has it now, what each is called, and who has left. It is kept
 * in the participant, and so over reloads. A part of client.js.
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

  /** Nobody has the chat any more. @param {import("./client.js").Leaving} leaving */
  left({ supportId, supportUserName, reason }) {
    if (supportId) this.named(supportId, supportUserName);
    this.#participant.left = { supportId, supportUserName, reason };
    delete this.#participant.supportId;
  }

  /** The server says that the chat waits: an agent who has had it has left unnoticed. */
  none() {
    const { supportId, supportUserName } = this.#participant;
    if (supportId) this.left({ supportId, supportUserName, reason: "" });
    delete this.#participant.supportUserName;
  }

  /** What an agent is called has become known. */
  named(supportId, supportUserName) {
    this.#participant.agents = { ...this.#participant.agents, [supportId]: supportUserName };
  }

  /** Who has written a message; "" if it is not known. @param {import("./client.js").Message} message */
  nameOf({ from, supportId }) {
    const { username, agents = {}, supportId: present, supportUserName } = this.#participant;
    if (from === "User") return username;
    return agents[supportId] ?? ((supportId || present) === present ? supportUserName : "") ?? "";
  }
}
