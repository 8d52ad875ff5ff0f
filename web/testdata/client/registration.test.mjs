import assert from "node:assert/strict";
import { test } from "node:test";
import "./world.mjs";
import { Refusal, register, status } from "./pages/client.js";

const BASE = "http://chat.example/support/";
const user = { userId: "a", username: "Nika", chatId: "b" };

let answers = [];
let asked = [];
globalThis.fetch = async (url, options) => {
  asked.push([options.method ?? "GET", url, options.headers ?? {}, options.body]);
  const answer = answers.shift();
  if (answer === null) throw new TypeError("Failed to fetch");
  return new Response(JSON.stringify(answer.body), { status: answer.status, headers: answer.headers });
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
