import { STATUS } from "./colleagues.js";
import { h, icon, label, write } from "./dom.js";

const LOBBY = { connecting: "lobbyConnecting", ready: "lobbyReady", offline: "lobbyOffline", closed: "lobbyClosed" };

/** The bar at the top, with the connection, the agent, sound and notifications. */
export class Bar {
  #session;
  #t;
  #notifications;

  /**
   * @param {import("./session.js").Session} session
   * @param {(key: string) => string} t
   * @param {import("./notifications.js").Notifications} notifications
   * @param {{account: () => void, help: () => void}} on what the buttons do
   * @param {Element} views links to the other views of the console
   * @param {...Element} others more elements for it
   */
  constructor(session, t, notifications, on, views, ...others) {
    this.#session = session;
    this.#t = t;
    this.#notifications = notifications;
    this.name = h("span", { dir: "auto" });
    this.who = h("button", { type: "button", class: "me", title: t("account"), "aria-haspopup": "dialog", onclick: on.account }, this.name);
    this.state = h("p", { class: "lobby", role: "status" });
    this.reconnect = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => session.lobby.open() }, t("reconnect"));
    this.own = h("select", { id: "own-status", "aria-label": t("ownStatus"),
      onchange: () => session.setStatus({ status: this.own.value }) },
      ...["online", "away"].map((status) => h("option", { value: status }, t(STATUS[status]))));
    this.there = h("span", { class: "there", "aria-hidden": "true" });
    this.working = h("div", { class: "own", hidden: true }, this.there, this.own);
    this.sound = h("button", { type: "button", class: "tool", id: "sound", onclick: () => notifications.switchSound() });
    this.bell = h("button", { type: "button", class: "tool", id: "bell", onclick: () => this.#switchNotifications() });
    const helpButton = h("button", { type: "button", class: "tool", id: "help", onclick: on.help });
    label(helpButton, "help", t("help"));
    this.element = h("header", { class: "bar", hidden: true },
      h("div", { class: "brand" }, h("span", { class: "mark", "aria-hidden": "true" }, icon("chat")), h("h1", {}, t("console"))), views,
      h("div", { class: "tools" }, this.state, this.reconnect, this.working, this.who, ...others, this.sound, this.bell, helpButton));
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
    this.working.hidden = !lobby.colleagues;
    this.own.value = this.there.dataset.status = lobby.status.status;
    const { muted, on } = this.#notifications;
    label(this.sound, muted ? "mute" : "sound", t(muted ? "soundOn" : "soundOff"));
    label(this.bell, on ? "bell" : "bellOff", t(on ? "notifyOff" : "notifyOn"));
  }

  async #switchNotifications() {
    this.#session.say(await this.#notifications.switch() ? "" : this.#t("notifyDenied"));
  }
}
