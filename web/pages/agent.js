/** The agent's console: puts together what stands on the screen, and shows each change of the session. */

import { Bar } from "./bar.js";
import { Confirm } from "./confirm.js";
import { Conversations } from "./conversations.js";
import { h } from "./dom.js";
import { Notifications } from "./notifications.js";
import { Pane } from "./pane.js";
import { Queue } from "./queue.js";
import { Replies } from "./replies.js";
import { Session } from "./session.js";
import { Shortcuts } from "./shortcuts.js";
import { SignIn } from "./signin.js";
import { ofTab, shared } from "./storage.js";
import { speak } from "./strings.js";

const config = document.querySelector("meta[name=livesupport]").dataset;
const ttl = Number(config.ttl);
const { t, lang, dir } = speak(new URLSearchParams(location.search).get("lang"), navigator.language);
const store = shared("livesupport-agent ");
const ofWindow = ofTab("livesupport-agent ");

const session = new Session(t, {
  chatBase: config.chatUrl || `${location.protocol}//${location.hostname}:${config.chatPort}`,
  lobbyBase: new URL(".", location.href).href,
  needsToken: config.signIn === "token",
  shared: store,
  tab: ofWindow,
});
const { desk, lobby } = session;

/* what is on the screen */

const notifications = new Notifications(store, { lang, dir });
const shortcuts = new Shortcuts(t, {
  J: { words: "keyNext", act: () => turn(1) },
  K: { words: "keyPrevious", act: () => turn(-1) },
  N: { words: "keyClaim", act: () => session.takeNext() },
  M: { words: "keyComposer", act: () => pane.write() },
  R: { words: "keyReplies", act: () => desk.current && replies.open() },
}, () => session.signedIn);
const signIn = new SignIn(session, t, notifications);
const bar = new Bar(session, t, notifications, () => shortcuts.show());
const queue = new Queue(session, t, store);
const conversations = new Conversations(desk, t, ttl, choose, (by) => {
  desk.step(by);
  renderNow();
});
const pane = new Pane(desk, t, lang, ttl, ofWindow, {
  back: () => desk.select(""), leave, replies: () => replies.open(),
});
const replies = new Replies(t, store, (text) => pane.conversation.insert(text));
const leaving = new Confirm(t("stay"), t("leave"));
const office = h("main", { class: "office", hidden: true }, queue.element, conversations.element, pane.element, pane.idle);

Object.assign(document.documentElement, { lang, dir });
document.title = t("console");
document.body.append(signIn.element, bar.element, office, shortcuts.element, leaving.element, replies.element);

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
  office.hidden = !session.signedIn;
  signIn.update();
  bar.update();
  if (!session.signedIn) return;
  office.dataset.talking = String(Boolean(desk.current));
  queue.update();
  conversations.update();
  pane.update();
  const own = t("console");
  const waiting = desk.unread + lobby.users.size;
  if (document.title.endsWith(own)) document.title = waiting ? `(${waiting}) ${own}` : own;
}

/* what agents do that concerns more than one of them */

function choose(chatId) {
  desk.select(chatId);
  renderNow();
  pane.write();
}

function turn(by) {
  desk.step(by);
  renderNow();
  pane.write();
}

async function leave() {
  const { chat } = desk.current;
  const { chatId, username } = chat.participant;
  if (chat.state !== "ended" && chat.state !== "closed") {
    if (!await leaving.ask(t("leaveAsk", { name: username })) || !desk.entries.has(chatId)) return;
  }
  desk.remove(chatId);
  renderNow();
  (conversations.tabs.querySelector("[aria-selected=true]") ?? queue.items.querySelector("button") ?? document.getElementById("help")).focus();
}

session.addEventListener("change", render);
session.addEventListener("taken", () => {
  renderNow();
  pane.write();
});
notifications.addEventListener("change", render);
lobby.addEventListener("user", ({ detail: user }) =>
  notifications.call(user.userId, t("newVisitor"), t("newVisitorText", { name: user.username }), () => {}));
desk.addEventListener("message", ({ detail: { entry: { chat }, message } }) => {
  const { chatId, username } = chat.participant;
  if (chatId === desk.selected && !document.hidden && document.hasFocus()) return;
  notifications.call(chatId, username, message.content, () => choose(chatId));
});
document.addEventListener("visibilitychange", () => desk.seen());
// Another window may have taken over the conversations of one that comes back from the dead.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

session.resume();
setInterval(() => {
  queue.tick();
  conversations.tick();
  pane.tick();
}, 1_000);
