/** The agent's console: puts together what stands on the screen, and shows each change of the session. */

import { Account } from "./account.js";
import { Bar } from "./bar.js";
import { Confirm } from "./confirm.js";
import { Conversations } from "./conversations.js";
import { isOver } from "./conversation.js";
import { h } from "./dom.js";
import { Focus, isShown } from "./focus.js";
import { Notice } from "./notice.js";
import { Notifications } from "./notifications.js";
import { Pane } from "./pane.js";
import { Queue } from "./queue.js";
import { Renewal } from "./renewal.js";
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
  lobbyBase: ownBase(),
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
  W: { words: "keyClose", act: () => desk.current && close() },
}, () => session.signedIn);
const signIn = new SignIn(session, t, notifications);
const account = new Account(session, t);
const bar = new Bar(session, t, notifications, { account: () => account.open(), help: () => shortcuts.show() });
const notice = new Notice(session, t);
const renewal = new Renewal(session, t, lang, goOn);
const queue = new Queue(session, t, store);
const conversations = new Conversations(desk, t, ttl, choose, (by) => {
  desk.step(by);
  renderNow();
});
const pane = new Pane(session, t, lang, ttl, store, { back, close, replies: () => replies.open() });
const replies = new Replies(t, store, (text) => pane.conversation.insert(text));
const closing = new Confirm(t("cancel"), { leave: t("leave"), end: t("endBoth") });
const office = h("main", { class: "office", hidden: true }, queue.element, conversations.element, pane.element, pane.idle);

Object.assign(document.documentElement, { lang, dir });
document.title = t("console");
document.body.append(bar.element, renewal.element, notice.element, office,
  account.element, shortcuts.element, closing.element, replies.element);

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
  document.getElementById("loading")?.remove();
  const own = t("console");
  office.hidden = !session.signedIn;
  office.dataset.talking = String(Boolean(desk.current));
  // Also what is hidden: nothing of an agent who has signed out stays in the page.
  for (const part of [signIn, bar, renewal, notice, queue, conversations, pane]) part.update();
  if (!session.signedIn) {
    document.title = own;
    return;
  }
  const waiting = desk.unread + lobby.users.size;
  if (document.title.endsWith(own)) document.title = waiting ? `(${waiting}) ${own}` : own;
  focus.keep();
}

/** The page's own address, without the password that browsers let people write into it. */
function ownBase() {
  const base = new URL(".", location.href);
  base.username = base.password = "";
  return base.href;
}

/* the focus */

/** Goes to where the work does. */
function goOn() {
  if (desk.current) pane.focus();
  else queue.element.focus();
}

/** The field of another visitor's conversation is no place to go on typing in. */
const focus = new Focus((element) => (pane.element.contains(element) ? desk.selected : ""), (chatId) => {
  if (!session.signedIn || document.querySelector("dialog[open]")) return;
  if (chatId && chatId === desk.selected) pane.focus();
  else if (!conversations.focus()) (desk.current && isShown(pane.element) && !isShown(queue.element) ? pane.conversation.log : queue.element).focus();
});

pane.conversation.text.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (!conversations.focus()) pane.back.focus();
});

/* what agents do that concerns more than one of them */

function choose(chatId) {
  session.say("");
  desk.select(chatId);
  renderNow();
  pane.focus();
}

function turn(by) {
  desk.step(by);
  renderNow();
  if (desk.current) pane.focus();
}

/** On a phone: to the lists. */
function back() {
  const { selected } = desk;
  desk.select("");
  renderNow();
  conversations.focus(selected);
}

/** Ends the selected conversation or leaves it, as the agent answers; one that is over goes without a question. */
async function close() {
  const { chat } = desk.current;
  const { chatId, username: name } = chat.participant;
  if (!isOver(chat)) {
    const answer = await closing.ask(t("closeAsk", { name }), t("closeAskNote", { name }));
    if (!answer || desk.entries.get(chatId)?.chat !== chat) return;
    if (answer === "end") return session.end(chatId);
  }
  desk.remove(chatId);
  renderNow();
  if (!conversations.focus()) goOn();
}

session.addEventListener("change", render);
for (const event of ["started", "taken"]) {
  session.addEventListener(event, () => {
    renderNow();
    goOn();
  });
}
notifications.addEventListener("change", render);
lobby.addEventListener("user", ({ detail: user }) =>
  notifications.call(user.userId, t("newVisitor"), t("newVisitorText", { name: user.username }), () => {}));
desk.addEventListener("message", ({ detail: { entry: { chat }, message } }) => {
  const { chatId, username } = chat.participant;
  if (chatId === desk.selected && !document.hidden && document.hasFocus()) return;
  notifications.call(chatId, username, message.content, () => choose(chatId));
});
// Another window may have taken over the conversations of one that comes back from the dead.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

session.resume();
setInterval(() => {
  for (const part of [session, queue, conversations, pane]) part.tick();
  renewal.update();
  focus.keep();
}, 1_000);
