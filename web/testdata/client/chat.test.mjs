import assert from "node:assert/strict";
import { test } from "node:test";
import { heard, latest, pass, settled, sleep, sockets, visible } from "./world.mjs";
import { Chat, Refusal } from "./pages/client.js";

const BASE = "http://chat.example:9000";
const [userId, chatId, supportId] = ["a".repeat(32), "b".repeat(32), "c".repeat(32)];
const ids = { userId, chatId, username: "Nika" };
const support = { supportId, supportUserName: "Vika", username: "Nika", userId, chatId };

const message = (seq, from, content = `message ${seq}`) =>
  ({ userId, supportId, content, timestamp: `2026-03-01T12:00:00.${String(seq).padStart(6, "0")}Z`, from, seq });
const plain = (...values) => {
  const { seq, ...rest } = message(...values);
  return rest;
};

/** Opens a chat whose server has accepted the socket; it ends with the test. */
function opened(t, role = "User") {
  const chat = new Chat(BASE, role === "User" ? { role, ...ids } : { role, ...ids, supportUserName: "Vika" });
  chat.open();
  t.after(() => {
    chat.close();
    visible(true);
  });
  latest().accept();
  return chat;
}

/** The answers of a server that knows everything to a Join of a chat with both sides. */
function joined(history = [], other = "Support") {
  latest().tell("SupportJoinedUser", support);
  latest().tell("ChatHistory", { messages: history });
  latest().tell("Presence", { from: other, state: "online" });
}

test("a Join asks for the features of its role and for a heartbeat", (t) => {
  opened(t);
  const [user] = latest().take("Join");
  assert.deepEqual(user.features.sort(), ["close", "files", "messageId", "presence", "queue", "rating", "receipts", "transfer", "typing"]);
  assert.equal(user.heartbeat, 10);
  opened(t, "Support");
  const [agent] = latest().take("Join");
  assert.deepEqual(agent.features.sort(), ["close", "files", "messageId", "notes", "presence", "preview", "rating", "receipts", "transfer", "typing"]);
});

test("a server that knows only messages is sent nothing else", async (t) => {
  const chat = opened(t);
  const server = latest();
  const told = heard(chat, "typing", "presence", "queue", "rated");
  server.tell("SupportJoinedUser", support);
  server.tell("ChatHistory", { messages: [plain(1, "Support")] });
  assert.equal(chat.receipts.unread, 1);
  server.tell("ChatMessage", plain(2, "Support"));
  assert.equal(chat.receipts.unread, 2);
  chat.typing.key("Hello");
  visible(false);
  chat.receipts.read();
  assert.equal(chat.receipts.unread, 0);
  chat.send("Hello");
  for (let i = 0; i < 20; i++) {
    server.ping();
    await pass(1_000);
  }
  visible(true);
  assert.deepEqual(server.sent.map(({ type }) => type), ["Join", "ChatMessage"]);
  assert.deepEqual(told, []);
  assert.equal(chat.receipts.of(chat.messages[0]), "sent");
});

test("end() leaves a server that cannot end a chat", async (t) => {
  const chat = opened(t);
  const server = latest();
  server.tell("SupportJoinedUser", support);
  server.tell("ChatHistory", { messages: [] });
  const end = chat.end();
  assert.equal(server.take("CloseChat").length, 1);
  chat.send("one"); // an Error without messageId must not be taken for this one's
  server.tell("Error", { code: "unknown_type", message: "?" });
  await end;
  assert.equal(chat.state, "closed");
  assert.equal(chat.problem, "");
  assert.equal(chat.outbox[0].problem, undefined);
});

test("what has come is delivered, what was seen is read, in at most one frame a second", async (t) => {
  const chat = opened(t);
  const server = latest();
  joined([message(1, "User"), message(2, "Support")]);
  assert.equal(chat.receipts.unread, 1);
  await pass(1_000);
  assert.deepEqual(server.take("Receipt"), [{ delivered: 2 }]);
  await pass(3_000);
  chat.addEventListener("message", () => chat.receipts.read());
  for (let seq = 3; seq <= 22; seq++) {
    server.tell("ChatMessage", message(seq, "Support"));
    await pass(100);
  }
  const during = server.take("Receipt");
  assert.ok(during.length <= 3, `${during.length} frames in 2 s`);
  assert.equal(during[0].read, 3, "one frame for what came and was read at once");
  await pass(1_000);
  assert.deepEqual([...during, ...server.take("Receipt")].at(-1), { read: 22 });
  server.tell("ChatMessage", message(23, "User"));
  await pass(2_000);
  assert.deepEqual(server.take("Receipt"), [], "one's own messages need no receipt");
  assert.equal(chat.receipts.unread, 0);
});

test("marks of both sides never go back", async (t) => {
  const chat = opened(t);
  const server = latest();
  joined([message(1, "User"), message(2, "User"), message(3, "Support")]);
  const told = heard(chat, "receipt");
  const states = () => chat.messages.slice(0, 2).map((one) => chat.receipts.of(one));
  assert.deepEqual(states(), ["sent", "sent"]);
  server.tell("Receipt", { from: "Support", delivered: 2, read: 1 });
  assert.deepEqual(states(), ["read", "delivered"]);
  server.tell("Receipt", { from: "Support", delivered: 1, read: 0 });
  assert.deepEqual(states(), ["read", "delivered"]);
  server.tell("Receipt", { from: "Support", delivered: 2, read: 2 });
  assert.deepEqual(states(), ["read", "read"]);
  server.tell("Receipt", { from: "User", delivered: 3, read: 3 });
  assert.equal(chat.receipts.unread, 0, "read on another device");
  assert.deepEqual(told.map(([, { from, delivered, read }]) => [from, delivered, read]), [["Support", 2, 1], ["Support", 2, 2], ["User", 3, 3]]);
  chat.receipts.read(1);
  await pass(2_000);
  assert.deepEqual(server.take("Receipt"), [], "the server has had it from the other device");

  server.drop();
  await pass(1_000);
  latest().accept();
  joined([message(1, "User"), message(2, "User"), message(3, "Support")]);
  assert.deepEqual(states(), ["read", "read"]);
  assert.equal(chat.receipts.unread, 0);
});

test("a mark that a lost connection may have swallowed is told again", async (t) => {
  const chat = opened(t);
  joined([message(1, "Support")]);
  await pass(1_000);
  chat.receipts.read();
  await pass(1_000);
  latest().drop();
  await pass(1_000);
  latest().accept();
  joined([message(1, "Support")]);
  latest().tell("Receipt", { from: "User", delivered: 1, read: 0 });
  latest().tell("Receipt", { from: "Support", delivered: 1, read: 1 });
  await pass(1_500);
  assert.deepEqual(latest().take("Receipt"), [{ read: 1 }]);
});

test("a read mark is told before the page is left", async (t) => {
  const chat = opened(t);
  const server = latest();
  joined([message(1, "Support")]);
  chat.receipts.read();
  assert.deepEqual(server.take("Receipt"), []);
  globalThis.dispatch("pagehide");
  assert.deepEqual(server.take("Receipt"), [{ read: 1 }]);
  await settled();
});

test("typing is said every 3 s, and not any more when the field is empty, left or sent", async (t) => {
  const chat = opened(t);
  const server = latest();
  joined();
  const said = () => server.take("Typing").map(({ typing, ...rest }) => (assert.deepEqual(rest, {}), typing));
  for (let i = 1; i <= 100; i++) {
    chat.typing.key("x".repeat(i));
    await pass(100);
  }
  assert.deepEqual(said(), [true, true, true, true], "10 s of keys");
  chat.typing.key("");
  assert.deepEqual(said(), [false]);
  chat.typing.key(" \n");
  chat.typing.stop();
  assert.deepEqual(said(), []);
  chat.typing.key("a");
  chat.typing.stop();
  await pass(900);
  chat.typing.key("ab");
  assert.deepEqual(said(), [true, false], "not more often than the server passes it on");
  await pass(100);
  chat.typing.key("abc");
  chat.send("abc");
  assert.deepEqual(said(), [true, false]);
});

test("the agent sees what is written only if the page says so, and always the latest", async (t) => {
  const chat = opened(t);
  const server = latest();
  joined();
  chat.typing.key("secret");
  assert.deepEqual(server.take("Typing"), [{ typing: true }]);
  await pass(1_000);
  chat.typing.preview = true;
  for (const text of ["H", "He", "Hel"]) {
    chat.typing.key(text);
    await pass(50);
  }
  await pass(2_000);
  assert.deepEqual(server.take("Typing"), [{ typing: true, text: "H" }, { typing: true, text: "Hel" }]);
  chat.typing.key(`${"😀".repeat(1_000)}end`);
  await pass(1_000);
  const [{ text }] = server.take("Typing");
  assert.equal(Array.from(text).length, 1_000);
  assert.ok(text.endsWith("😀end"));
  chat.typing.key("more");
  assert.deepEqual(server.take("Typing"), [{ typing: true, text: "more" }]);
  chat.typing.key("more and");
  chat.typing.stop();
  await pass(2_000);
  assert.deepEqual(server.take("Typing"), [{ typing: false }], "nothing comes after the end");

  const agent = opened(t, "Support");
  joined([], "User");
  agent.typing.preview = true;
  agent.typing.key("an agent's text");
  assert.deepEqual(latest().take("Typing"), [{ typing: true }]);
});

test("the other side's typing is shown for 6 s at most, and a message ends it", async (t) => {
  const chat = opened(t, "Support");
  const server = latest();
  joined([], "User");
  const told = heard(chat, "typing");
  server.tell("Typing", { from: "User", typing: true, text: "H" });
  await pass(5_900);
  assert.deepEqual(chat.typing.other, { typing: true, text: "H" });
  server.tell("Typing", { from: "User", typing: true, text: "Hello" });
  await pass(5_900);
  assert.equal(chat.typing.other.typing, true);
  await pass(200);
  assert.deepEqual(chat.typing.other, { typing: false, text: "" });
  server.tell("Typing", { from: "User", typing: true });
  server.tell("ChatMessage", message(1, "Support"));
  assert.equal(chat.typing.other.typing, true, "one's own message ends nothing");
  server.tell("ChatMessage", message(2, "User"));
  assert.equal(chat.typing.other.typing, false);
  server.tell("Typing", { from: "User", typing: true });
  server.drop();
  assert.equal(chat.typing.other.typing, false);
  assert.deepEqual(told.map(([, { typing, text }]) => [typing, text]),
    [[true, "H"], [true, "Hello"], [false, ""], [true, ""], [false, ""], [true, ""], [false, ""]]);
});

test("typing on either side lets the chat live, but not for ever", async (t) => {
  const chat = opened(t);
  const server = latest();
  joined();
  const begun = Date.now();
  const minute = async () => {
    for (let i = 0; i < 6; i++) {
      await pass(10_000);
      server.ping();
    }
  };
  await minute();
  assert.equal(chat.renewed, begun);
  server.tell("Typing", { from: "Support", typing: true });
  assert.equal(chat.renewed, begun + 60_000);
  for (let i = 2; i < 12; i++) {
    await minute();
    chat.typing.key(`minute ${i}`);
  }
  assert.equal(chat.renewed, begun + 9 * 60_000);
});

test("a hidden page is away, and says so again after a lost connection", async (t) => {
  const chat = opened(t);
  joined();
  visible(false);
  visible(true);
  visible(true);
  assert.deepEqual(latest().take("Presence").map(({ state }) => state), ["away", "online"]);
  visible(false);
  latest().drop();
  await pass(1_000);
  latest().accept();
  joined();
  assert.deepEqual(latest().take("Presence").map(({ state }) => state), ["away"]);
  chat.close();
  visible(true);
  assert.equal(latest().sent.some(({ type }) => type === "Presence"), false);
});

test("the other side's presence is what the server says, and unknown without it", async (t) => {
  const chat = opened(t);
  const told = heard(chat, "presence");
  joined();
  latest().tell("Presence", { from: "Support", state: "away" });
  latest().tell("Presence", { from: "Support", state: "away" });
  latest().tell("Presence", { from: "Support", state: "offline" });
  latest().drop();
  assert.equal(chat.presence.other, "");
  assert.deepEqual(told.map(([, { state }]) => state), ["online", "away", "offline", ""]);
});

test("a waiting visitor's place is told until somebody comes", (t) => {
  const chat = opened(t);
  const told = heard(chat, "queue");
  latest().tell("UserJoined", ids);
  latest().tell("Queue", { position: 3, waiting: 12, estimate: 95 });
  assert.deepEqual(chat.queue, { position: 3, waiting: 12, estimate: 95 });
  latest().tell("Queue", { position: 0, waiting: 11, estimate: null });
  latest().tell("SupportJoinedUser", support);
  assert.equal(chat.queue, null);
  assert.deepEqual(told.map(([, place]) => place?.position ?? null), [3, 0, null]);
});

test("end() ends the chat for both, and a closed one takes a rating and what is read", async (t) => {
  const chat = opened(t);
  const server = latest();
  joined([message(1, "Support")]);
  chat.send("on its way");
  const end = chat.end();
  assert.deepEqual(server.sent.at(-1), { type: "CloseChat" });
  server.tell("ChatClosed", { chatId, from: "User", timestamp: "2026-03-01T12:01:00.000000Z" });
  await end;
  assert.equal(chat.state, "ended");
  assert.deepEqual(chat.ended, { from: "User", timestamp: "2026-03-01T12:01:00.000000Z" });
  assert.equal(chat.outbox[0].problem, "chat_closed");
  chat.send("too late");
  chat.typing.key("too late");
  visible(false);
  visible(true);
  assert.equal(chat.outbox[1].problem, "chat_closed");
  assert.deepEqual(server.sent.map(({ type }) => type).filter((type) => type === "Typing" || type === "Presence"), []);
  server.sent.length = 0;

  chat.receipts.read();
  await pass(2_000);
  assert.deepEqual(server.take("Receipt"), [{ read: 1 }]);
  const told = heard(chat, "rated");
  const rated = chat.rate(4, "Quick");
  assert.deepEqual(server.take("Rate"), [{ score: 4, comment: "Quick" }]);
  server.tell("Rated", { score: 4, comment: "Quick", timestamp: "t" });
  await rated;
  assert.deepEqual(chat.rating, { score: 4, comment: "Quick", timestamp: "t" });
  assert.equal(told.length, 1);
  assert.deepEqual(server.sent, []);

  server.tell("ChatExpired", { chatId });
  assert.equal(chat.ended.from, "User", "who has ended it is not forgotten");
  assert.equal(chat.state, "ended");
  await assert.rejects(chat.rate(5), (error) => error instanceof Refusal && error.code === "expired");
});

test("a closed chat stays ended while its connection is lost and comes back", async (t) => {
  const chat = opened(t);
  joined();
  latest().tell("ChatClosed", { chatId, from: "Support", timestamp: "t" });
  const states = new Set();
  chat.addEventListener("change", () => states.add(chat.state));
  latest().drop();
  const rated = chat.rate(1);
  await pass(1_000);
  latest().accept();
  joined();
  latest().tell("ChatClosed", { chatId, from: "Support", timestamp: "t" });
  assert.deepEqual(latest().take("Rate"), [{ score: 1 }]);
  latest().tell("Rated", { score: 1, timestamp: "t" });
  await rated;
  assert.deepEqual([...states], ["ended"]);
  assert.deepEqual(chat.ended, { from: "Support", timestamp: "t" });
});

test("what was asked while the connection was lost is asked when it is back", async (t) => {
  const chat = opened(t);
  joined();
  latest().drop();
  const end = chat.end();
  await pass(1_000);
  latest().accept();
  joined();
  assert.equal(latest().take("CloseChat").length, 1);
  latest().tell("Error", { code: "unavailable", message: "?" });
  await pass(1_400);
  assert.equal(latest().take("CloseChat").length, 0);
  await pass(200);
  assert.equal(latest().take("CloseChat").length, 1);
  latest().tell("ChatClosed", { chatId, from: "User", timestamp: "t" });
  await end;
  assert.equal(chat.state, "ended");
});

test("what got no answer before the connection was lost is asked again", async (t) => {
  const chat = opened(t);
  joined();
  const rated = chat.rate(3);
  assert.equal(latest().take("Rate").length, 1);
  latest().drop();
  await pass(1_000);
  latest().accept();
  joined();
  assert.equal(latest().take("Rate").length, 1);
  latest().tell("Rated", { score: 3, timestamp: "t" });
  await rated;
});

test("a server that replaces an older one numbers what is known already", async (t) => {
  const chat = opened(t);
  latest().tell("SupportJoinedUser", support);
  latest().tell("ChatHistory", { messages: [plain(1, "User")] });
  assert.equal(chat.receipts.of(chat.messages[0]), "sent");
  latest().drop(1001);
  await pass(1_000);
  latest().accept();
  joined([message(1, "User"), message(2, "Support")]);
  latest().tell("Receipt", { from: "Support", delivered: 1, read: 1 });
  assert.equal(chat.receipts.of(chat.messages[0]), "read");
  await pass(1_000);
  assert.deepEqual(latest().take("Receipt"), [{ delivered: 2 }]);

  // And the other way round.
  latest().drop(1001);
  await pass(1_000);
  latest().accept();
  latest().tell("SupportJoinedUser", support);
  latest().tell("ChatHistory", { messages: [plain(1, "User"), plain(2, "Support")] });
  chat.receipts.read();
  chat.typing.key("Hello");
  for (let i = 0; i < 3; i++) {
    await pass(40_000);
    latest().ping();
  }
  assert.equal(chat.state, "connected");
  assert.deepEqual(latest().sent.map(({ type }) => type), ["Join"]);
  assert.equal(chat.receipts.of(chat.messages[0]), "read");
});

test("a rating that is refused says why, and an old one is not taken for its answer", async (t) => {
  const chat = opened(t);
  joined();
  const server = latest();
  let done = false;
  const rated = chat.rate(2, "").then(() => { done = true; });
  server.tell("Rated", { score: 5, timestamp: "t" }); // another tab's
  await settled();
  assert.equal(done, false);
  server.tell("Rated", { score: 2, timestamp: "t" });
  await rated;
  const refused = chat.rate(9);
  server.tell("Error", { code: "bad_request", message: "A score is 1 to 5." });
  await assert.rejects(refused, (error) => error.code === "bad_request");
  const left = chat.rate(3);
  chat.close();
  await assert.rejects(left, (error) => error.code === "closed");
});

test("an Error about a signal is not taken for a message's", async (t) => {
  const chat = opened(t);
  joined();
  chat.send("one");
  const [{ messageId }] = latest().take("ChatMessage");
  latest().tell("Error", { code: "chat_closed", message: "?" }); // Typing met the end
  assert.equal(chat.outbox[0].problem, undefined);
  latest().tell("Error", { code: "too_large", message: "?", messageId });
  assert.equal(chat.outbox[0].problem, "too_large");
});

test("expiry is told as such", (t) => {
  const chat = opened(t);
  joined();
  latest().tell("ChatExpired", { chatId });
  assert.equal(chat.state, "ended");
  assert.deepEqual(chat.ended, { from: "", timestamp: "" });
});

test("a connection that died without a word is given up within 15 s", async (t) => {
  const chat = opened(t);
  joined();
  const before = sockets.length;
  for (let i = 0; i < 5; i++) {
    await pass(10_000);
    latest().ping();
  }
  assert.equal(latest().pongs, 6);
  assert.equal(chat.state, "connected");
  await pass(14_900);
  assert.equal(chat.state, "connected");
  await pass(200);
  assert.equal(chat.state, "offline");
  await pass(1_000);
  assert.equal(sockets.length, before + 1);
  // The next one dies right after its Join, before it has shown how often it pings.
  latest().accept();
  joined();
  await pass(15_100);
  assert.equal(chat.state, "offline");
});

test("a server that pings less often, as it was set up to, is not given up", async (t) => {
  const chat = opened(t);
  latest().tell("SupportJoinedUser", support);
  latest().tell("ChatHistory", { messages: [plain(1, "User")] });
  for (let i = 0; i < 3; i++) {
    await pass(40_000);
    assert.equal(chat.state, "connected");
    latest().ping();
  }
  await pass(120_200);
  assert.equal(chat.state, "offline");
});

for (const event of ["focus", "visibilitychange", "resume"]) {
  test(`a machine that wakes up does not trust what was silent meanwhile (${event})`, async (t) => {
    const chat = opened(t);
    joined();
    sleep(60_000);
    assert.equal(chat.state, "connected");
    if (event === "focus") globalThis.dispatch(event);
    else document.dispatchEvent(new Event(event));
    assert.equal(chat.state, "offline");
  });
}

test("the browser's word that there is no network counts at once", (t) => {
  const chat = opened(t);
  joined();
  globalThis.dispatch("offline");
  assert.equal(chat.state, "offline");
});

const left = { supportId, supportUserName: "Vika", reason: "transfer" };
const next = { ...support, supportId: "d".repeat(32), supportUserName: "Dodo" };

test("a visitor whose agent has left waits for the next one, and old messages keep their name", (t) => {
  const chat = opened(t);
  const server = latest();
  const told = heard(chat, "left");
  server.tell("SupportJoinedUser", support);
  server.tell("ChatHistory", { messages: [message(1, "Support")] });
  server.tell("Presence", { from: "Support", state: "online" });
  server.tell("SupportLeft", left);
  assert.deepEqual(told, [["left", left]]);
  assert.equal(chat.state, "waiting");
  assert.equal(chat.presence.other, "");
  assert.equal(chat.left.reason, "transfer");
  server.tell("Queue", { position: 1, waiting: 1, estimate: null });
  chat.send("still here");
  assert.equal(server.take("ChatMessage")[0].content, "still here");
  server.tell("SupportJoinedUser", next);
  assert.equal(chat.state, "connected");
  assert.equal(chat.left, null);
  assert.equal(chat.queue, null);
  assert.deepEqual([message(1, "Support"), { ...message(2, "Support"), supportId: next.supportId }].map((one) => chat.nameOf(one)), ["Vika", "Dodo"]);
});

test("a visitor learns after a lost connection that the agent has left", async (t) => {
  const chat = opened(t);
  joined([message(1, "Support")]);
  latest().drop();
  await pass(1_000);
  latest().accept();
  assert.equal(latest().take("Join")[0].supportId, supportId);
  latest().tell("UserJoined", ids);
  latest().tell("ChatHistory", { messages: [message(1, "Support")] });
  assert.equal(chat.state, "waiting");
  assert.deepEqual({ ...chat.left, supportId: "" }, { supportId: "", supportUserName: "Vika", reason: "" });
  assert.equal(chat.nameOf(message(1, "Support")), "Vika");
});

test("an agent gives a chat away, and has it no more", async (t) => {
  const chat = opened(t, "Support");
  const server = latest();
  joined([], "User");
  const nobody = assert.rejects(chat.transfer({ to: "agent", agent: "dodo" }, "please"), { code: "not_found" });
  assert.deepEqual(server.take("Transfer"), [{ to: "agent", agent: "dodo", note: "please" }]);
  server.tell("Error", { code: "not_found", message: "?" });
  await nobody;
  assert.equal(chat.state, "connected");
  const done = chat.transfer({ to: "queue" });
  assert.deepEqual(server.take("Transfer"), [{ to: "queue" }]);
  server.tell("SupportLeft", left);
  await done;
  assert.deepEqual([chat.state, chat.problem], ["closed", "released"]);
});

test("notes come once, in order, and one that is on its way is not written twice", async (t) => {
  const chat = opened(t, "Support");
  const told = heard(chat, "note");
  const note = (content, second) => ({ content, supportId, supportUserName: "Vika", timestamp: `2026-03-01T12:00:0${second}.000000Z` });
  joined([], "User");
  latest().tell("Note", note("one", 1));
  const kept = chat.note("two");
  assert.deepEqual(latest().take("Note"), [{ content: "two" }]);
  latest().drop();
  await pass(1_000);
  latest().accept();
  joined([], "User");
  latest().tell("Note", note("one", 1));
  latest().tell("Note", note("two", 2));
  await kept;
  await pass(5_000);
  assert.deepEqual(latest().take("Note"), []);
  assert.deepEqual(chat.notes.map(({ content }) => content), ["one", "two"]);
  assert.equal(told.length, 2);

  // One that has not arrived is sent again.
  const again = chat.note("three");
  latest().drop();
  await pass(1_000);
  latest().accept();
  joined([], "User");
  latest().tell("Note", note("one", 1));
  latest().tell("Note", note("two", 2));
  await pass(2_000);
  assert.deepEqual(latest().take("Note"), [{ content: "three" }]);
  latest().tell("Note", note("three", 3));
  await again;
});

test("an observer sees both sides, and says nothing of itself", async (t) => {
  const chat = new Chat(BASE, { role: "Observer", ...ids, observerName: "Lulu", supportId: "gone" });
  chat.open();
  t.after(() => {
    chat.close();
    visible(true);
  });
  const server = latest();
  server.accept();
  const [join] = server.take("Join");
  assert.deepEqual([join.from, join.supportUserName, join.supportId], ["Observer", "Lulu", undefined]);
  assert.deepEqual(join.features.sort(), ["close", "files", "messageId", "notes", "presence", "rating", "receipts", "transfer", "typing"]);
  joined([message(1, "User"), message(2, "Support")], "User");
  assert.equal(chat.participant.supportUserName, "Vika");
  chat.receipts.read();
  chat.typing.key("Hello");
  visible(false);
  await pass(5_000);
  assert.deepEqual(server.sent, []);
  server.tell("Receipt", { from: "User", delivered: 2, read: 2 });
  assert.equal(chat.receipts.of(chat.messages[1]), "read");
  server.tell("SupportLeft", left);
  assert.equal(chat.state, "waiting");
  server.tell("SupportJoinedUser", next);
  assert.deepEqual([chat.state, chat.participant.supportUserName], ["connected", "Dodo"]);
});
