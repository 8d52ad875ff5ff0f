import assert from "node:assert/strict";
import { test } from "node:test";
import { pass, settled } from "./world.mjs";
import { written } from "./pages/csv.js";
import { Report } from "./pages/report.js";
import { Search } from "./pages/search.js";

const BASE = "http://agents.example/";

/** Requests that wait for their answers. */
let asked = [];
globalThis.fetch = (url, { method, headers, signal }) => new Promise((resolve, reject) => {
  signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
  const { pathname, searchParams } = new URL(url);
  asked.push({
    method, headers, signal, path: pathname.replace("/api/v1", ""), query: Object.fromEntries(searchParams),
    answer: async (body, status = 200) => {
      resolve(new Response(status === 204 ? null : JSON.stringify(body), { status }));
      for (let i = 0; i < 20; i++) await settled();
      await new Promise((done) => setImmediate(done)); // a Response is read by the machine's own time
    },
  });
});

const search = () => {
  asked = [];
  return new Search(() => ({ base: BASE, token: "token" }), ({ url }) => url, () => {});
};
const chats = (from, count) => Array.from({ length: count }, (_, i) => (
  { chatId: `c${from + i}`, username: "Nika", agents: [{ agent: "vika", supportUserName: "Vika" }], team: "billing" }));

test("keys that follow each other make one search, and a later one ends it", async () => {
  const one = search();
  for (const query of ["r", "re", "ref"]) {
    one.want({ query }, true);
    await pass(100);
  }
  assert.equal(asked.length, 0);
  await pass(300);
  assert.deepEqual(asked.map(({ path, query, headers }) => [path, query, headers]), [["/chats", { query: "ref", limit: "50" }, { "Livesupport-Token": "token" }]]);
  one.want({ query: "refund" }, true);
  await pass(300);
  assert.ok(asked[0].signal.aborted && asked.length === 2);
  await asked[1].answer({ chats: chats(0, 2), next: null });
  await asked[0].answer({ chats: chats(7, 1), next: null });
  assert.deepEqual(one.found.map(({ chatId }) => chatId), ["c0", "c1"]);
  assert.deepEqual([one.searching, one.more, one.problem, [...one.agents], [...one.teams]], [false, false, "", [["vika", "Vika"]], ["billing"]]);
});

test("pages follow each other by the cursor, up to a thousand", async () => {
  const one = search();
  one.again();
  for (let n = 0; n < 20; n++) {
    assert.equal(asked[n].query.cursor, n ? `after${n}` : undefined);
    await asked[n].answer({ chats: chats(50 * n, 50), next: `after${n + 1}` });
    one.further();
    one.further(); // a second click
  }
  assert.deepEqual([asked.length, one.found.length, one.more, one.full], [20, 1_000, false, true]);
});

test("days are the reader's, and both are in", async () => {
  const one = search();
  one.want({ from: "2026-03-01", to: "2026-03-02", agent: "vika" });
  const { from, to, agent } = asked[0].query;
  assert.deepEqual([from, to, agent], [new Date(2026, 2, 1).toISOString(), new Date(2026, 2, 3).toISOString(), "vika"]);
});

test("whether there is an archive, and for this agent, is asked once", async () => {
  for (const [status, access] of [[200, "open"], [404, "none"], [401, "closed"], [403, "closed"], [503, "open"]]) {
    const one = search();
    const opened = one.open(true);
    const codes = { 404: "not_found", 401: "unauthorized", 403: "forbidden", 503: "unavailable" };
    await asked[0].answer(status === 200 ? { chats: [], next: null } : { error: { code: codes[status] } }, status);
    await opened;
    assert.equal(one.access, access, status);
  }
  const one = search();
  await one.open(false);
  assert.deepEqual([one.access, asked.length], ["none", 0]);
});

test("a chat that cannot be read is not asked for again and again", async () => {
  const one = search();
  one.read("a");
  await asked[0].answer({ error: { code: "not_found" } }, 404);
  one.read("a");
  assert.deepEqual([asked.length, one.recordProblem], [1, "not_found"]);
  one.read("b");
  one.read("c");
  assert.ok(asked[1].signal.aborted);
  const log = [
    { type: "SupportJoinedUser", args: { supportId: "s", supportUserName: "Vika", timestamp: "1" } },
    { type: "ChatMessage", args: { from: "Support", supportId: "s", content: "Hello", timestamp: "2" } },
    { type: "SupportLeft", args: { supportId: "s", supportUserName: "Vika", reason: "lost", timestamp: "3" } },
    { type: "FromALaterVersion", args: {} },
  ];
  await asked[2].answer({ chatId: "c", username: "Nika", ended: "4", log });
  const { record } = one;
  assert.equal(record.nameOf(record.messages[0]), "Vika");
  assert.deepEqual(record.notes.map(({ event }) => event), ["recordJoined", "recordLost", "endedAgent"]);
  const deleted = one.delete("c");
  await asked[3].answer(null, 204);
  await deleted;
  assert.deepEqual([asked[3].method, asked[3].path, one.record, one.selected], ["DELETE", "/chats/c", null, ""]);
});

test("a report has every day of its span", async () => {
  const one = search();
  const report = new Report(one, () => Date.parse("2026-03-01T00:30:00Z"), () => {});
  report.ask({ span: 7 });
  assert.deepEqual(asked[0].query, { from: "2026-02-23" });
  await asked[0].answer({ chats: 2, days: [{ day: "2026-02-28", chats: 2 }], agents: [] });
  assert.deepEqual(report.days.map(({ day, chats }) => `${day} ${chats}`), [
    "2026-02-23 0", "2026-02-24 0", "2026-02-25 0", "2026-02-26 0", "2026-02-27 0", "2026-02-28 2", "2026-03-01 0"]);
  report.ask({ span: 30 });
  report.ask({ span: 90 });
  assert.ok(asked[1].signal.aborted);
  await asked[2].answer({ error: { code: "unavailable" } }, 503);
  assert.deepEqual([report.problem, report.asking, report.days.length], ["unavailable", false, 7]);
});

test("a table is written so that no spreadsheet runs any of it", () => {
  assert.equal(written([["Day", "A, B"], ["=1+1", null], ['say "hi"', 0.5], ["-x", "two\nlines"]]),
    "\ufeffDay,\"A, B\"\r\n'=1+1,\r\n\"say \"\"hi\"\"\",0.5\r\n'-x,\"two\nlines\"\r\n");
});
