/** The agent's console. It assembles the parts of the screen, and updates them with each change of the session. */

import { Account } from "./account.js";
import { wordsOf } from "./attachments.js";
import { ArchiveView } from "./archiveview.js";
import { Bar } from "./bar.js";
import { Colleagues } from "./colleagues.js";
import { Confirm } from "./confirm.js";
import { Conversations } from "./conversations.js";
import { isOver } from "./conversation.js";
import { h } from "./dom.js";
import { Focus, isShown } from "./focus.js";
import { MessagesDialog } from "./messages.js";
import { Notice } from "./notice.js";
import { Notifications } from "./notifications.js";
import { Offers } from "./offers.js";
import { Overview } from "./overview.js";
import { Pane } from "./pane.js";
import { Queue } from "./queue.js";
import { QuickReplies } from "./quick.js";
import { Renewal } from "./renewal.js";
import { ReportView } from "./reportview.js";
import { Replies } from "./replies.js";
import { Session } from "./session.js";
import { Shortcuts } from "./shortcuts.js";
import { SignIn } from "./signin.js";
import { ofTab, shared } from "./storage.js";
import words from "./languages/console/en.js";
import { extend, learn, speak } from "./strings.js";
import { TransferDialog } from "./transfer.js";
import { keepsPage } from "./tray.js";
import { Views } from "./views.js";

const config = document.querySelector("meta[name=livesupport]").dataset;
const ttl = Number(config.ttl);
const wanted = [new URLSearchParams(location.search).get("lang"), ...navigator.languages];
extend("languages/console", words);
await learn(...wanted);
const { t, lang, dir } = speak(...wanted);
const store = shared("livesupport-agent ");
const ofWindow = ofTab("livesupport-agent ");

const session = new Session(t, {
  lang,
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
  O: { words: "keyOffers", act: () => atWork(() => offers.focus()) },
  M: { words: "keyComposer", act: () => atWork(() => pane.write()) },
  I: { words: "keyNote", act: () => atWork(() => pane.switchMode()) },
  R: { words: "keyReplies", act: () => desk.current && atWork(() => replies.open()) },
  T: { words: "keyTransfer", act: () => pane.transferable && atWork(give) },
  W: { words: "keyClose", act: () => desk.current && views.current === "chats" && close() },
  A: { words: "keyArchive", act: () => session.archive.access === "open" && views.go(views.current === "archive" ? "chats" : "archive") },
}, () => session.signedIn);
const views = new Views(session, t, store);
const signIn = new SignIn(session, t, notifications);
const account = new Account(session, t);
const messages = new MessagesDialog(session, t, lang);
const bar = new Bar(session, t, notifications, { account: () => account.open(), help: () => shortcuts.show() }, views.element, messages.button);
const notice = new Notice(session, t);
const renewal = new Renewal(session, t, lang, goOn);
const offers = new Offers(session, t, lang, () => {
  back();
  offers.focus();
}, goOn);
const colleagues = new Colleagues(session, t);
const queue = new Queue(session, t, lang, store, offers.element, colleagues.element);
const overview = new Overview(session, t, (talk) => session.look(talk));
const conversations = new Conversations(session, t, ttl, choose, (by) => {
  desk.step(by);
  renderNow();
});
conversations.element.append(overview.element);
const pane = new Pane(session, t, lang, ttl, store, { back, close, end, replies: () => replies.open(), transfer: give });
const replies = new Replies(t, store, session, (text) => pane.conversation.insert(filled(text)));
new QuickReplies(t, pane.conversation.form, pane.conversation.text, () => replies.all, (text, from) => pane.conversation.insert(filled(text), from));
const closing = new Confirm(t("cancel"));
const archive = new ArchiveView(session, views, t, lang, closing);
const reports = new ReportView(session, views, t, { lang, dir });
const transfer = new TransferDialog(session, t, store);
const office = h("main", { class: "office", hidden: true }, queue.element, conversations.element, pane.element, pane.idle);

Object.assign(document.documentElement, { lang, dir });
document.title = t("console");
document.body.append(bar.element, renewal.element, notice.element, offers.strip, offers.live, office, archive.element, reports.element,
  account.element, shortcuts.element, closing.element, replies.element, transfer.element, messages.element);

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
  const own = views.title(t("console"));
  office.hidden = !session.signedIn || views.current !== "chats";
  document.body.dataset.view = views.current;
  document.body.dataset.talking = office.dataset.talking = String(Boolean(desk.current));
  // Clear hidden parts, too: nothing of an agent who has signed out stays in the page.
  for (const part of [signIn, bar, views, renewal, notice, offers, queue, colleagues, conversations, overview, pane, transfer, messages, archive, reports]) part.update();
  if (!session.signedIn) {
    document.title = own;
    return;
  }
  const waiting = desk.unread + lobby.users.size + lobby.offers.size;
  if (document.title.endsWith(t("console"))) document.title = waiting ? `(${waiting}) ${own}` : own;
  focus.keep();
}

/** The page's own address, without a user name and password that it may contain. */
function ownBase() {
  const base = new URL(".", location.href);
  base.username = base.password = "";
  return base.href;
}

/* the focus */

/** Shows the agent's own conversations, and then calls act. @param {() => void} [act] */
function atWork(act) {
  views.go("chats");
  act?.();
}

/** Moves the focus to the place where the agent works. */
function goOn() {
  if (views.current !== "chats") return (views.current === "archive" ? archive : reports).focus();
  if (desk.current) pane.focus();
  else queue.element.focus();
}

/** Finds a new place for a lost focus, but never the message field of another visitor. */
const focus = new Focus((element) => (pane.element.contains(element) ? desk.selected : ""), (chatId) => {
  if (!session.signedIn || document.querySelector("dialog[open]")) return;
  if (views.current !== "chats") return goOn();
  if (chatId && chatId === desk.selected) pane.focus();
  else if (!conversations.focus()) (desk.current && isShown(pane.element) && !isShown(queue.element) ? pane.conversation.log : queue.element).focus();
});

for (const field of [pane.conversation.text, pane.notes.text]) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    if (!conversations.focus()) pane.back.focus();
  });
}

/* what agents do that concerns more than one of them */

function choose(chatId) {
  atWork();
  session.say("");
  desk.select(chatId);
  renderNow();
  pane.focus();
}

function turn(by) {
  atWork();
  desk.step(by);
  renderNow();
  if (desk.current) pane.focus();
}

/** On a phone: shows the lists. */
function back() {
  atWork();
  const { selected } = desk;
  desk.select("");
  renderNow();
  conversations.focus(selected);
}

/** Fills the names into a canned reply. */
function filled(text) {
  const values = { username: desk.current?.chat.participant.username, agent: session.name };
  return text.replace(/\{(username|agent)\}/g, (_, name) => values[name] ?? "");
}

/** Transfers the selected conversation. */
function give() {
  transfer.open(desk.selected);
}

/** Asks whether to end the selected conversation or to leave it. One that is over is removed without asking. */
async function close() {
  const { chat } = desk.current;
  const { chatId, username: name } = chat.participant;
  if (!isOver(chat) && chat.participant.role === "Support") {
    const answer = await closing.ask(t("closeAsk", { name }), t("closeAskNote", { name }), { leave: t("leave"), end: t("endBoth") });
    if (!answer || desk.entries.get(chatId)?.chat !== chat) return;
    if (answer === "end") return session.end(chatId);
  }
  desk.remove(chatId);
  renderNow();
  if (!conversations.focus()) goOn();
}

/** Ends the chat that the agent observes. */
async function end() {
  const { chat } = desk.current;
  const { chatId, username: name, supportUserName: agent } = chat.participant;
  const answer = await closing.ask(t("closeAsk", { name }), t("endAskNote", { name, agent }), { end: t("endBoth") });
  if (answer && desk.entries.get(chatId)?.chat === chat) session.end(chatId);
}

keepsPage(window);
session.addEventListener("change", render);
session.addEventListener("started", () => {
  renderNow();
  goOn();
});
session.addEventListener("taken", () => {
  atWork();
  renderNow();
  goOn();
});
views.addEventListener("change", renderNow);
notifications.addEventListener("change", render);
lobby.addEventListener("user", ({ detail: user }) =>
  notifications.call(user.userId, t("newVisitor"), t("newVisitorText", { name: user.username }), () => {}));
lobby.addEventListener("offer", ({ detail: offer }) => {
  renderNow();
  offers.came(offer);
  notifications.call(offer.userId, t("offerTitle"), t("newVisitorText", { name: offer.username }), () => atWork(() => offers.focus()));
});
desk.addEventListener("message", ({ detail: { entry: { chat }, message } }) => {
  const { chatId, username } = chat.participant;
  if (chatId === desk.selected && !document.hidden && document.hasFocus()) return;
  notifications.call(chatId, username, wordsOf(message), () => choose(chatId));
});
// While this window was frozen, another one may have taken over its conversations.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

session.resume();
setInterval(() => {
  for (const part of [session, offers, queue, conversations, overview, pane]) part.tick();
  conversations.second();
  renewal.update();
  focus.keep();
}, 1_000);
