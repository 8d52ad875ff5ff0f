import assert from "node:assert/strict";
import { test } from "node:test";
import "./world.mjs";
import { Availability, finishMessage, leave, leftMessages, Refusal, register, status } from "./pages/client.js";

const BASE = "http://chat.example/support/";
const user = { userId: "a", username: "Nika", chatId: "b" };

let answers = [];
let asked = [];
globalThis.fetch = async (url, options) => {
  asked.push([options.method ?? "GET", url, options.headers ?? {}, options.body]);
  const answer = answers.shift();
  if (answer === null) throw new TypeError("Failed to fetch");
  return new Response(answer.status === 204 ? null : JSON.stringify(answer.body), { status: answer.status, headers: answer.headers });
};

/** Answers requests by what is listed, in turn; null is no answer. */
function server(...list) {
  answers = list;
  return asked = [];
}

test("a visitor is registered with a GET, or with what is to be known of them with a POST", async () => {
  let requests = server({ status: 200, body: user });
  assert.deepEqual(await register(BASE, "Ni/ka", "token"), { role: "User", ...user });
  assert.deepEqual(requests, [["GET", "http://chat.example/support/user/join/Ni%2Fka", { Authorization: "Bearer token" }, undefined]]);
  requests = server({ status: 200, body: user });
  await register(BASE, "Nika", "", { team: "billing", details: { page: "https://shop.example/" } });
  assert.deepEqual(requests[0], ["POST", "http://chat.example/support/user/join/Nika", { "Content-Type": "application/json" },
    `{"team":"billing","details":{"page":"https://shop.example/"}}`]);
});

test("a server that takes no POST registers the visitor without more", async () => {
  for (const answer of [null, { status: 404, body: {} }, { status: 405, body: {} }]) {
    const requests = server(answer, { status: 200, body: user });
    assert.equal((await register(BASE, "Nika", "", { details: {} })).chatId, "b");
    assert.deepEqual(requests.map(([method]) => method), ["POST", "GET"]);
  }
});

test("at the page's own server, the Authorization is left to a password", async () => {
  globalThis.location = { origin: "http://chat.example" };
  try {
    const vary = { Vary: "Origin, Livesupport-Token" };
    const own = { "Livesupport-Token": "token" };
    const bearer = { Authorization: "Bearer token" };
    for (const [answers, want] of [
      [[{ status: 200, body: user, headers: vary }], [own]],
      [[{ status: 200, body: { ...user, chatId: "unverified" } }, { status: 200, body: user }], [own, bearer]],
      [[{ status: 400, body: {} }, { status: 200, body: user }], [own, bearer]],
    ]) {
      const requests = server(...answers);
      assert.equal((await register(BASE, "Nika", "token")).chatId, "b");
      assert.deepEqual(requests.map(([, , headers]) => headers), want);
    }
    for (const status of [400, 401, 403, 429, 503]) {
      const requests = server({ status, body: {}, headers: status === 400 ? vary : {} });
      await assert.rejects(register(BASE, "Nika", "token"), Refusal);
      assert.equal(requests.length, 1);
    }
    const requests = server({ status: 200, body: user });
    await register(BASE, "Nika");
    assert.deepEqual(requests[0][2], {});
  } finally {
    delete globalThis.location;
  }
});

test("a refusal has its code", async () => {
  server({ status: 400, body: { error: { code: "bad_request", message: "The team is unknown." } } });
  await assert.rejects(register(BASE, "Nika", "", { team: "x" }), (error) => error instanceof Refusal && error.code === "bad_request");
  server(null, null);
  await assert.rejects(register(BASE, "Nika", "", {}), (error) => error.code === "unreachable");
});

test("the status is what the server says, or null", async () => {
  server({ status: 200, body: { open: true, preview: true } }, { status: 404, body: {} }, null);
  assert.equal((await status(BASE)).preview, true);
  assert.equal(await status(BASE), null);
  assert.equal(await status(BASE), null);
});

test("a message is left with a POST, once, whatever the token", async () => {
  const message = { name: "Nika", email: "", content: "Hello" };
  const json = { "Content-Type": "application/json" };
  for (const [origin, token, headers] of [
    ["", "", json],
    ["", "token", { Authorization: "Bearer token", ...json }],
    ["http://chat.example", "token", { "Livesupport-Token": "token", ...json }],
  ]) {
    globalThis.location = { origin };
    const requests = server({ status: 202, body: { messageId: "m" } });
    assert.equal(await leave(BASE, message, token), "m");
    assert.deepEqual(requests, [["POST", "http://chat.example/support/messages", headers, JSON.stringify(message)]]);
  }
  delete globalThis.location;
  for (const [answer, code] of [
    [{ status: 404, body: { error: { code: "not_found", message: "" } } }, "not_found"],
    [{ status: 503, body: {} }, "unavailable"],
    [null, "unreachable"],
  ]) {
    const requests = server(answer);
    await assert.rejects(leave(BASE, message), (error) => error instanceof Refusal && error.code === code);
    assert.equal(requests.length, 1);
  }
});

test("availability is asked for once at a time, and what was known stays", async () => {
  const availability = new Availability(BASE);
  assert.deepEqual([availability.state, availability.asked], ["", false]);
  let changes = 0;
  availability.addEventListener("change", () => changes++);
  const is = async (answer, state) => {
    const requests = server(answer);
    await Promise.all([availability.ask(0), availability.ask(0)]);
    await availability.ask();
    assert.equal(requests.length, 1);
    assert.equal(availability.state, state);
  };
  await is(null, "");
  assert.equal(availability.asked, true);
  await is({ status: 200, body: { open: true, agents: 2 } }, "open");
  await is({ status: 200, body: { open: true, agents: 0 } }, "nobody");
  await is(null, "nobody");
  await is({ status: 200, body: { open: false, agents: 2 } }, "closed");
  assert.equal(changes, 5);
});

test("an agent has the messages that were left, and says which are done", async () => {
  const own = { "Livesupport-Token": "token" };
  let requests = server({ status: 200, body: { messages: [], next: "n" } });
  assert.equal((await leftMessages(BASE, "token", { done: false, team: "a&b", cursor: "a b", limit: 7 })).next, "n");
  assert.deepEqual(requests, [["GET", "http://chat.example/support/api/v1/messages?done=false&team=a%26b&cursor=a+b&limit=7", own, undefined]]);
  requests = server({ status: 200, body: { messages: [], next: null } }, { status: 404, body: {} });
  await leftMessages(BASE, "");
  assert.deepEqual(requests[0].slice(1, 3), ["http://chat.example/support/api/v1/messages?limit=50", {}]);
  await assert.rejects(leftMessages(BASE, ""), Refusal);
  requests = server({ status: 204, body: null });
  await finishMessage(BASE, "token", "m");
  assert.deepEqual(requests, [["POST", "http://chat.example/support/api/v1/messages/m/done", own, undefined]]);
});
