import { h, icon, label, write } from "./dom.js";

const LOBBY = { connecting: "lobbyConnecting", ready: "lobbyReady", offline: "lobbyOffline", closed: "lobbyClosed" };

/** The bar at the top: the connection, who works here, sound and notifications. */
export class Bar {
  #session;
  #t;
  #notifications;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string) => string} t
   * @param {import("./notifications.js").Notifications} notifications
   * @param {{account: () => void, help: () => void}} on what its buttons do
   */
  constructor(session, t, notifications, on) {
    this.#session = session;
    this.#t = t;
    this.#notifications = notifications;
    this.name = h("span", { dir: "auto" });
    this.who = h("button", { type: "button", class: "me", title: t("account"), "aria-haspopup": "dialog", onclick: on.account }, this.name);
    this.state = h("p", { class: "lobby", role: "status" });
    this.reconnect = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => session.lobby.open() }, t("reconnect"));
    this.sound = h("button", { type: "button", class: "tool", id: "sound", onclick: () => notifications.switchSound() });
    this.bell = h("button", { type: "button", class: "tool", id: "bell", onclick: () => this.#switchNotifications() });
    const helpButton = h("button", { type: "button", class: "tool", id: "help", onclick: on.help });
    label(helpButton, "help", t("help"));
    this.element = h("header", { class: "bar", hidden: true },
      h("span", { class: "mark", "aria-hidden": "true" }, icon("chat")), h("h1", {}, t("console")),
      this.state, this.reconnect, this.who, this.sound, this.bell, helpButton);
  }

  update() {
    const t = this.#t;
    const { signedIn, name, lobby, expiry } = this.#session;
    this.element.hidden = !signedIn;
    write(this.name, name);
    if (!signedIn) return;
    write(this.state, t(expiry === "over" ? "noToken" : LOBBY[lobby.state]));
    this.state.dataset.state = expiry === "over" ? "closed" : lobby.state;
    this.reconnect.hidden = lobby.state !== "closed" || expiry === "over";
    const { muted, on } = this.#notifications;
    label(this.sound, muted ? "mute" : "sound", t(muted ? "soundOn" : "soundOff"));
    label(this.bell, on ? "bell" : "bellOff", t(on ? "notifyOff" : "notifyOn"));
  }

  async #switchNotifications() {
    this.#session.say(await this.#notifications.switch() ? "" : this.#t("notifyDenied"));
  }
}
