import assert from "node:assert/strict";
import { test } from "node:test";
import { latest, pass, settled } from "./world.mjs";
import { Chat } from "./pages/client.js";

const BASE = "http://chat.example:9000/path/";
const [userId, chatId, supportId, fileId] = ["a", "b", "c", "d"].map((letter) => letter.repeat(32));
const file = { fileId, name: "a.png", type: "image/png", size: 3, url: `/files/${fileId}` };

const requests = [];
globalThis.XMLHttpRequest = class {
  upload = {};
  headers = {};
  aborted = false;

  constructor() {
    requests.push(this);
  }

  open(method, url) {
    Object.assign(this, { method, url });
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  send(body) {
    this.body = body;
  }

  abort() {
    this.aborted = true;
    this.onabort();
    this.onloadend();
  }

  // The server's end:
  answer(status, body) {
    Object.assign(this, { status, responseText: typeof body === "string" ? body : JSON.stringify(body) });
    this.onload();
    this.onloadend();
  }
};
const request = () => requests.at(-1);

function opened(t, role = "User", token) {
  const chat = new Chat(BASE, { role, userId, chatId, username: "Nika", ...(role === "Support" ? { supportId, supportUserName: "Vika" } : {}) }, [], token);
  chat.open();
  t.after(() => chat.close());
  latest().accept();
  latest().tell("SupportJoinedUser", { supportId, supportUserName: "Vika", username: "Nika", userId, chatId });
  latest().tell("ChatHistory", { messages: [] });
  return chat;
}

test("an upload says whose it is, how far it is, and what has become of it", async (t) => {
  const chat = opened(t);
  const parts = [];
  const picked = new File(["abc"], "né \ud800 \u{1f600}.png", { type: "image/png" });
  const coming = chat.upload(picked, { progress: (part) => parts.push(part) });
  const { method, url, headers, body } = request();
  assert.deepEqual([method, url, body], ["POST", `http://chat.example:9000/path/chat/${chatId}/files`, picked]);
  assert.deepEqual(headers, {
    "Content-Type": "image/png", "Livesupport-User": userId, "Livesupport-Filename": "n%C3%A9%20%EF%BF%BD%20%F0%9F%98%80.png",
  });
  request().upload.onprogress({ loaded: 1, total: 4 });
  request().upload.onprogress({ loaded: 4, total: 4 });
  request().answer(201, file);
  assert.deepEqual(await coming, file);
  assert.deepEqual(parts, [0.25, 1]);
  assert.equal(chat.addressOf(file), `http://chat.example:9000/path/files/${fileId}`);
  assert.equal(chat.addressOf({ ...file, url: "https://files.example/files/x" }), "https://files.example/files/x");
  assert.equal(chat.addressOf({ ...file, url: "javascript:alert(1)" }), "");
});

test("an agent's says so, with a name of one's own, cut at its beginning", async (t) => {
  const chat = opened(t, "Support", () => "token");
  const coming = chat.upload(new Blob(["abc"]), { name: `${"x".repeat(300)}.png` });
  const { headers } = request();
  assert.equal(headers["Livesupport-Support"], supportId);
  assert.equal(headers["Livesupport-Token"], "token");
  assert.equal(headers["Content-Type"], "application/octet-stream");
  assert.equal(headers["Livesupport-Filename"], `${"x".repeat(251)}.png`);
  request().answer(201, file);
  await coming;
});

test("what goes wrong has a code", async (t) => {
  const chat = opened(t);
  const refused = (code, act) => {
    const coming = chat.upload(new Blob(["abc"]), { name: "a" });
    act(request());
    return assert.rejects(coming, { name: "Error", code });
  };
  await refused("bad_type", (one) => one.answer(415, { error: { code: "bad_type", message: "no" } }));
  await refused("chat_full", (one) => one.answer(409, { error: { code: "chat_full", message: "no" } }));
  await refused("too_large", (one) => one.answer(413, "<html>a proxy's"));
  await refused("unavailable", (one) => one.answer(502, ""));
  await refused("unavailable", (one) => one.answer(200, "null"));
  await refused("unreachable", (one) => {
    one.onerror();
    one.onloadend();
  });
});

test("one is ended by its signal, or when it does not get on", async (t) => {
  const chat = opened(t);
  const stop = new AbortController();
  const stopped = chat.upload(new Blob(["abc"]), { signal: stop.signal });
  const one = request();
  stop.abort();
  await assert.rejects(stopped, { code: "aborted" });
  assert.ok(one.aborted);
  const count = requests.length;
  await assert.rejects(chat.upload(new Blob(["abc"]), { signal: stop.signal }), { code: "aborted" });
  assert.equal(requests.slice(count).filter(({ body }) => body).length, 0, "nothing was sent");

  const hangs = chat.upload(new Blob(["abc"]));
  const other = request();
  await pass(29_000);
  other.upload.onprogress({ loaded: 1, total: 3 });
  await pass(29_000);
  assert.ok(!other.aborted);
  const lost = assert.rejects(hangs, { code: "unreachable" });
  await pass(2_000);
  await lost;
  assert.ok(other.aborted);
});

test("a message carries files, also without words and after a reload", async (t) => {
  const chat = opened(t);
  chat.send("look", [file]);
  const [sent] = latest().take("ChatMessage");
  assert.deepEqual([sent.content, sent.files], ["look", [fileId]]);
  latest().tell("ChatMessage", { userId, supportId, content: "look", timestamp: "2026-03-01T12:00:00.000001Z", from: "User", seq: 1, messageId: sent.messageId, files: [file] });
  await settled();
  assert.deepEqual(chat.messages[0].files, [file]);
  chat.send("", [file]);
  assert.deepEqual(chat.outbox.map(({ content, files }) => [content, files]), [["", [file]]]);
  const kept = JSON.parse(JSON.stringify(chat.outbox));
  chat.close();
  const again = new Chat(BASE, { ...chat.participant }, kept);
  again.open();
  t.after(() => again.close());
  latest().accept();
  latest().tell("SupportJoinedUser", { supportId, supportUserName: "Vika", username: "Nika", userId, chatId });
  latest().tell("ChatHistory", { messages: [] });
  const [resent] = latest().take("ChatMessage");
  assert.deepEqual([resent.messageId, resent.files], [kept[0].messageId, [fileId]]);
  again.send("plain");
  latest().tell("Error", { code: "not_found", message: "gone", messageId: kept[0].messageId });
  assert.deepEqual(again.outbox.map(({ problem }) => problem), ["not_found", undefined]);
  const [plain] = latest().take("ChatMessage");
  assert.ok(!("files" in plain));
});
