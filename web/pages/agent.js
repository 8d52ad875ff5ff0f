import { chime, TitleFlash } from "./attention.js";
import { Lobby, nameIn, tokenCounts } from "./client.js";
import { Conversation } from "./conversation.js";
import { Desk } from "./desk.js";
import { clock, h, icon, label, write } from "./dom.js";
import { Replies } from "./replies.js";
import { ofTab, shared } from "./storage.js";
import { reason, speak } from "./strings.js";

/** Below this, in ms, a conversation's end is near. */
const NEAR_END = 30_000;
/** How long a user who has left the list keeps the time since when they wait, in ms. */
const REMEMBER = 5 * 60_000;

const config = document.querySelector("meta[name=livesupport]").dataset;
const chatBase = config.chatUrl || `${location.protocol}//${location.hostname}:${config.chatPort}`;
const lobbyBase = new URL(".", location.href).href;
const ttl = Number(config.ttl);
const { t, lang, dir } = speak(new URLSearchParams(location.search).get("lang"), navigator.language);

const store = shared("livesupport-agent ");
const ofWindow = ofTab("livesupport-agent ");
/** Where agents need a token, it says who they are; it is kept as long as the tab. */
const needsToken = config.signIn === "token";
let token = needsToken ? ofWindow.get("token") ?? "" : "";
const desk = new Desk(chatBase, store, ofWindow, () => token);
const lobby = new Lobby(lobbyBase, () => token);
const title = new TitleFlash();
let name = needsToken ? nameIn(token) : store.get("name") ?? "";
let claiming = "";

/* what is on the page */

const entry = needsToken
  ? h("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: false, dir: "ltr" })
  : h("input", { id: "name", required: true, maxLength: 64, autocomplete: "nickname", dir: "auto", value: name });
const refusal = h("p", { class: "notice", role: "alert" });
const signIn = h("form", { class: "sign-in", onsubmit: start },
  h("span", { class: "mark", "aria-hidden": "true" }, icon("chat")),
  h("h1", {}, t("console")),
  h("label", {}, h("span", {}, t(needsToken ? "signInToken" : "signIn")), entry), refusal,
  h("button", { class: "primary" }, t("startWork")),
  "Notification" in window && Notification.permission === "default" ? h("p", { class: "note" }, t("askNotify")) : "");

const who = h("span", { class: "me", dir: "auto" });
const state = h("p", { class: "lobby", role: "status" });
const reconnect = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => lobby.open() }, t("reconnect"));
const sound = h("button", { type: "button", class: "tool", id: "sound", onclick: () => flip("mute") });
const bell = h("button", { type: "button", class: "tool", id: "bell", onclick: switchNotifications });
const helpButton = h("button", { type: "button", class: "tool", id: "help", onclick: () => help.showModal() });
label(helpButton, "help", t("help"));
const notice = h("p", { class: "notice", role: "alert" });
const queue = h("ul", { class: "queue" });
const queueCount = h("span", { class: "count" });
const nobody = h("div", { class: "empty" }, h("p", {}, t("nobody")), h("p", { class: "note" }, t("nobodyHint")));
const tabs = h("div", { class: "tabs", role: "tablist", "aria-orientation": "vertical", "aria-labelledby": "chats-title", onkeydown: moveTabs });
const none = h("div", { class: "empty" }, h("p", {}, t("none")), h("p", { class: "note" }, t("noneHint")));

const repliesButton = h("button", { type: "button", class: "tool", onclick: () => replies.open() });
label(repliesButton, "replies", t("replies"));
const conversation = new Conversation(t, lang, ofWindow, repliesButton);
const replies = new Replies(t, store, (text) => conversation.insert(text));
const back = h("button", { type: "button", class: "tool back", onclick: () => desk.select("") });
label(back, "back", t("back"));
const withName = h("h2", { dir: "auto", id: "with" });
const chatState = h("p", { class: "state", role: "status" });
const life = h("p", { class: "life" });
const withVerified = verifiedMark();
const closeChat = h("button", { type: "button", class: "quiet", onclick: leave }, t("closeConversation"));
const talk = h("section", { class: "talk", role: "tabpanel", id: "talk", "aria-labelledby": "with", hidden: true },
  h("header", {}, back, h("div", { class: "with" }, withName, h("div", { class: "line" }, withVerified, chatState, life)), closeChat),
  conversation.element);
const idle = h("div", { class: "idle" }, icon("chat"), h("p", {}, t("choose")));

const help = h("dialog", { "aria-labelledby": "help-title" },
  h("h2", { id: "help-title" }, t("help")),
  h("dl", {}, ...[["J", "keyNext"], ["K", "keyPrevious"], ["N", "keyClaim"], ["M", "keyComposer"], ["R", "keyReplies"]].map(([key, what]) =>
    h("div", {}, h("dt", {}, h("kbd", {}, "Alt"), " + ", h("kbd", {}, key)), h("dd", {}, t(what))))),
  h("p", { class: "note" }, t("keys")),
  h("form", { method: "dialog" }, h("button", { class: "primary" }, t("closeConversation"))));
const leaveText = h("p", { id: "leave-text" });
const leaveAsk = h("dialog", { role: "alertdialog", "aria-labelledby": "leave-text" }, leaveText,
  h("form", { method: "dialog", class: "choice" },
    h("button", { value: "keep" }, t("keepIt")),
    h("button", { class: "primary", value: "leave" }, t("closeConversation"))));

const office = h("main", { class: "office" },
  h("section", { class: "column waiting", "aria-labelledby": "queue-title" },
    h("h2", { id: "queue-title" }, t("queue"), " ", queueCount), notice, queue, nobody),
  h("section", { class: "column chats", "aria-labelledby": "chats-title" },
    h("h2", { id: "chats-title" }, t("conversations")), tabs, none),
  talk, idle);
const bar = h("header", { class: "bar" }, h("span", { class: "mark", "aria-hidden": "true" }, icon("chat")),
  h("h1", {}, t("console")), state, reconnect, who, sound, bell, helpButton);

Object.assign(document.documentElement, { lang, dir });
document.title = t("console");
const door = h("main", { class: "door" }, signIn);
door.hidden = bar.hidden = office.hidden = true; // until it is known which it will be
document.body.append(door, bar, office, help, leaveAsk, replies.element);

/* rendering: many events make one */

let due = false;
function render() {
  if (due) return;
  due = true;
  setTimeout(() => {
    due = false;
    renderNow();
  });
}

function renderNow() {
  door.hidden = started;
  bar.hidden = office.hidden = !started;
  if (!started) return;
  write(who, name);
  write(state, t({ connecting: "lobbyConnecting", ready: "lobbyReady", offline: "lobbyOffline", closed: "lobbyClosed" }[lobby.state]));
  state.dataset.state = lobby.state;
  reconnect.hidden = lobby.state !== "closed";
  label(sound, store.get("mute") ? "mute" : "sound", t(store.get("mute") ? "soundOn" : "soundOff"));
  const silent = !notifies();
  label(bell, silent ? "bellOff" : "bell", t(silent ? "notifyOn" : "notifyOff"));

  noteWaiting();
  list(queue, lobby.users, queueItem, updateQueueItem);
  write(queueCount, lobby.users.size ? String(lobby.users.size) : "");
  nobody.hidden = lobby.users.size > 0;
  list(tabs, desk.entries, tab, updateTab);
  none.hidden = desk.entries.size > 0;
  tabs.hidden = !none.hidden; // a list of tabs has to have some

  const { chat } = desk.current ?? {};
  office.dataset.talking = String(Boolean(chat));
  talk.hidden = !chat;
  idle.hidden = Boolean(chat);
  conversation.show(chat ?? null);
  if (chat) {
    write(withName, chat.participant.username);
    withVerified.hidden = !chat.participant.verified;
    write(chatState, chat.state === "ended" ? t("endedAgent") : stateOf(chat));
    chatState.dataset.state = chat.state;
    closeChat.setAttribute("aria-label", t("closeName", { name: chat.participant.username }));
  }
  const own = t("console");
  const waiting = desk.unread + lobby.users.size;
  if (document.title.endsWith(own)) document.title = waiting ? `(${waiting}) ${own}` : own;
  tick();
}

/** Makes a list show a map's entries, and leaves the items that stay (and the focus) alone. */
function list(element, entries, create, update) {
  const items = new Map(Array.from(element.children, (item) => [item.dataset.key, item]));
  for (const [key, item] of items) {
    if (!entries.has(key)) item.remove();
  }
  let next = element.firstElementChild;
  for (const [key, one] of entries) {
    let item = items.get(key);
    if (item && item === next) {
      next = next.nextElementSibling;
    } else {
      item ??= create(key, one);
      item.dataset.key = key;
      element.insertBefore(item, next);
    }
    update(item, one, key);
  }
}

/* the queue */

/** Since when a user waits is not told: it is known of those who came while somebody looked. */
const waits = new Map(Object.entries(store.get("waits") ?? {}));
let looking = false;

function noteWaiting() {
  if (lobby.state !== "ready") return;
  const now = Date.now();
  for (const userId of lobby.users.keys()) {
    const known = waits.get(userId) ?? { since: now, atLeast: !looking };
    waits.set(userId, { ...known, seen: now });
  }
  for (const [userId, { seen }] of waits) {
    if (now - seen > REMEMBER) waits.delete(userId);
  }
  looking = true;
  store.set("waits", Object.fromEntries(waits));
}

function queueItem(userId, user) {
  return h("li", {},
    h("div", {}, h("p", { class: "name", dir: "auto" }, user.username),
      user.verified ? verifiedMark() : "", h("p", { class: "since" })),
    h("button", { type: "button", "aria-label": t("takeUser", { name: user.username }), onclick: () => take(user) }, t("take")));
}

function verifiedMark() {
  return h("p", { class: "verified", title: t("verifiedHint") }, h("span", { "aria-hidden": "true" }, "✓ "), t("verified"));
}

function updateQueueItem(item) {
  const button = item.querySelector("button");
  button.disabled = claiming !== "" || lobby.state !== "ready";
  button.classList.toggle("primary", item === queue.firstElementChild);
}

async function take(user) {
  if (claiming) return;
  claiming = user.userId;
  write(notice, "");
  render();
  try {
    if (await lobby.claim(user)) {
      desk.take({ ...user, role: "Support", supportUserName: name });
      renderNow();
      conversation.text.focus();
    } else {
      write(notice, t("lost", { name: user.username }));
    }
  } catch (error) {
    write(notice, reason(t, error.code));
  } finally {
    claiming = "";
    render();
  }
}

/* the conversations */

function stateOf({ state: now }) {
  const words = { connected: "stateConnected", offline: "stateOffline", ended: "stateEnded", closed: "stateClosed" };
  return t(words[now] ?? "stateConnecting");
}

function tab(chatId) {
  return h("button", { type: "button", role: "tab", class: "tab", "aria-controls": "talk", onclick: () => choose(chatId) },
    h("span", { class: "name", dir: "auto" }), h("span", { class: "count", role: "img" }),
    h("span", { class: "last", dir: "auto" }), h("span", { class: "life" }));
}

function updateTab(item, { chat, unread }, chatId) {
  const selected = chatId === desk.selected;
  const [nameOf, count, last] = item.children;
  write(nameOf, chat.participant.username);
  write(count, unread ? String(unread) : "");
  if (unread) count.setAttribute("aria-label", t("unread", { count: unread }));
  const message = chat.messages.at(-1);
  const words = message?.content.slice(0, 120) ?? t("empty");
  write(last, chat.state === "connected" ? (message?.from === "Support" ? `${t("you")}: ${words}` : words) : stateOf(chat));
  item.dataset.state = chat.state;
  item.setAttribute("aria-selected", String(selected));
  item.tabIndex = selected || (desk.selected === "" && item === tabs.firstElementChild) ? 0 : -1;
}

function choose(chatId) {
  desk.select(chatId);
  renderNow();
  if (!conversation.form.hidden) conversation.text.focus();
}

function moveTabs(event) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  desk.step(by);
  renderNow();
  tabs.querySelector("[aria-selected=true]")?.focus();
}

async function leave() {
  const { chat } = desk.current;
  const { chatId, username } = chat.participant;
  if (chat.state !== "ended" && chat.state !== "closed") {
    write(leaveText, t("leaveAsk", { name: username }));
    leaveAsk.returnValue = "";
    leaveAsk.showModal();
    await new Promise((resolve) => leaveAsk.addEventListener("close", resolve, { once: true }));
    if (leaveAsk.returnValue !== "leave" || !desk.entries.has(chatId)) return;
  }
  desk.remove(chatId);
  renderNow();
  (tabs.querySelector("[aria-selected=true]") ?? queue.querySelector("button") ?? helpButton).focus();
}

/** What changes with time alone. */
function tick() {
  for (const item of queue.children) {
    const { since, atLeast } = waits.get(item.dataset.key) ?? { since: Date.now() };
    write(item.querySelector(".since"), t(atLeast ? "waitsAtLeast" : "waits", { time: clock(Date.now() - since) }));
  }
  for (const item of tabs.children) showLife(item.querySelector(".life"), desk.entries.get(item.dataset.key)?.chat, "");
  showLife(life, desk.current?.chat, "expiresIn");
}

function showLife(element, chat, words) {
  const left = chat?.state === "connected" ? Math.max(0, chat.renewed + ttl - Date.now()) : -1;
  element.classList.toggle("near", left >= 0 && left < Math.min(NEAR_END, ttl / 2));
  write(element, left < 0 ? "" : words ? t(words, { time: clock(left) }) : clock(left));
}

/* attention */

function flip(setting) {
  store.set(setting, store.get(setting) !== true);
  render();
}

function notifies() {
  return "Notification" in window && Notification.permission === "granted" && store.get("quiet") !== true;
}

async function switchNotifications() {
  if (notifies()) return flip("quiet");
  store.set("quiet", false);
  if ("Notification" in window && Notification.permission === "default") await Notification.requestPermission();
  write(notice, notifies() ? "" : t("notifyDenied"));
  render();
}

/** @param {string} tag notifications of one tag replace each other */
function notify(tag, head, body, onclick) {
  if (store.get("mute") !== true) chime();
  if (!document.hidden && document.hasFocus()) return;
  title.show(`${head}: ${body.slice(0, 60)}`);
  if (!notifies()) return;
  try {
    const one = new Notification(head, { body: body.slice(0, 160), tag, lang, dir });
    one.onclick = () => {
      window.focus();
      onclick();
      one.close();
    };
  } catch {
    // some phones allow them only to service workers
  }
}

lobby.addEventListener("change", render);
lobby.addEventListener("change", checkToken);
lobby.addEventListener("user", ({ detail: user }) =>
  notify(user.userId, t("newVisitor"), t("newVisitorText", { name: user.username }), () => {}));
desk.addEventListener("change", render);
desk.addEventListener("lost", ({ detail: { username } }) => write(notice, t("lost", { name: username })));
desk.addEventListener("message", ({ detail: { entry: { chat }, message } }) => {
  const { chatId, username } = chat.participant;
  if (chatId === desk.selected && !document.hidden && document.hasFocus()) return;
  notify(chatId, username, message.content, () => choose(chatId));
});
document.addEventListener("visibilitychange", () => desk.seen());
// Another window may have taken over the conversations of one that comes back from the dead.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

/* the keyboard: by the key's place, since Alt changes the letter on some */

const shortcuts = {
  KeyJ: () => turn(1),
  KeyK: () => turn(-1),
  KeyN: () => lobby.users.size && take(lobby.users.values().next().value),
  KeyM: () => conversation.text.focus(),
  KeyR: () => desk.current && replies.open(),
};

function turn(by) {
  desk.step(by);
  renderNow();
  if (desk.current && !conversation.form.hidden) conversation.text.focus();
}

document.addEventListener("keydown", (event) => {
  const act = event.altKey && !event.ctrlKey && !event.metaKey && shortcuts[event.code];
  if (!act || !started || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  act();
});

/* the beginning */

let started = false;

let checking = false;

/** A connection that is refused or does not come about may be so because of the token. */
async function checkToken() {
  if (!needsToken || !started || checking || (lobby.state !== "offline" && lobby.state !== "closed")) return;
  checking = true;
  const asked = token;
  const counts = lobby.problem !== "unauthorized" && await tokenCounts(lobbyBase, asked);
  checking = false;
  if (!counts && asked === token) signOut();
}

/** Asks for another token. The conversations stay where they are. */
function signOut() {
  started = false;
  token = "";
  ofWindow.set("token", null);
  lobby.close();
  entry.value = "";
  write(refusal, t("tokenRefused"));
  renderNow();
  entry.focus();
}

async function signInWith(text) {
  write(refusal, "");
  const known = /^[\w.-]+$/.test(text) && nameIn(text);
  if (!known || !await tokenCounts(lobbyBase, text)) {
    write(refusal, t("tokenRefused"));
    entry.select();
    return false;
  }
  token = text;
  name = known;
  ofWindow.set("token", token);
  return true;
}

async function start(event) {
  event?.preventDefault();
  if (needsToken) {
    if (event && !await signInWith(entry.value.trim())) return;
    entry.value = "";
  } else {
    name = entry.value.trim();
    if (!name) return entry.focus();
    store.set("name", name);
  }
  ofWindow.set("signedIn", true);
  started = true;
  if (event && "Notification" in window && Notification.permission === "default" && store.get("asked") !== true) {
    store.set("asked", true);
    Notification.requestPermission().then(render, () => {});
  }
  lobby.open();
  desk.reopen();
  renderNow();
}

await desk.restore();
if (name && (desk.entries.size > 0 || ofWindow.get("signedIn"))) start();
else {
  renderNow();
  entry.focus();
}
setInterval(tick, 1_000);
