// The behaviours that client.js has in common with the Go client, which runs the same table.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { latest, pass, settled, sockets } from "./world.mjs";
import { Chat, Lobby } from "./pages/client.js";

const ids = { userId: "a".repeat(32), chatId: "b".repeat(32), username: "Nika" };

class Behaviour {
  names = new Map(Object.entries({ $user: ids.userId, $chat: ids.chatId, $support: "c".repeat(32) }));
  told = new Map();
  sent = new Map(); // messageId by content
  outcomes = new Map();
  before = sockets.length;

  constructor() {
    this.names.set("$joined", { supportId: "c".repeat(32), supportUserName: "Vika", ...ids });
  }

  async step(kind, value) {
    await this[kind](value);
    await settled();
  }

  /** Puts in what names stand for. */
  filled(value) {
    if (typeof value === "string") return this.names.get(value) ?? value;
    if (Array.isArray(value)) return value.map((one) => this.filled(one));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, this.filled(one)]));
  }

  /** Wants these fields, null for none, and gives names to what is not named yet. */
  has(found, fields) {
    for (const [key, want] of Object.entries(fields)) {
      if (/^\$\d/.test(want) && !this.names.has(want)) this.names.set(want, found[key]);
      else assert.deepEqual(found[key] ?? null, this.filled(want), key);
    }
  }

  open(role) {
    if (role === "Lobby") this.subject = new Lobby("http://chat.example:9001", () => "", () => ({ name: "Vika" }));
    else this.subject = new Chat("http://chat.example:9000", { role, ...ids, ...(role === "Support" ? { supportUserName: "Vika" } : {}) });
    for (const type of ["message", "receipt", "typing", "presence", "queue", "left", "note", "rated"]) {
      this.subject.addEventListener(type, ({ detail }) => this.told.set(type, detail));
    }
    this.subject.open();
  }

  accept(fields) {
    latest().accept();
    const [first] = latest().sent.splice(0, 1);
    assert.match(first.type, /^(Join|Load)$/);
    this.has(first.args, fields);
  }

  connections(count) {
    assert.equal(sockets.length - this.before, count);
  }

  tell([type, args]) {
    latest().tell(type, this.filled(args));
  }

  ping() {
    latest().ping();
  }

  drop(code) {
    latest().drop(code);
  }

  pass(ms) {
    return pass(ms);
  }

  state([state, problem]) {
    assert.deepEqual([this.subject.state, this.subject.problem], [state, problem]);
  }

  async sentOf([type, fields]) {
    await settled();
    const at = latest().sent.findIndex((frame) => frame.type === type);
    assert.ok(at >= 0, `no ${type} was sent`);
    const [{ args }] = latest().sent.splice(at, 1);
    this.has(args ?? {}, fields);
  }

  nothing(type) {
    assert.deepEqual(latest().sent.filter((frame) => frame.type === type), []);
  }

  send(content) {
    this.subject.send(content);
    this.sent.set(content, this.subject.outbox.at(-1).messageId);
  }

  outgoing(content) {
    return this.subject.outbox.find(({ messageId }) => messageId === this.sent.get(content));
  }

  delivered([content]) {
    assert.equal(this.outgoing(content), undefined);
  }

  refused([content, code]) {
    assert.equal(this.outgoing(content)?.problem, code);
  }

  contents(want) {
    assert.deepEqual(this.subject.messages.map(({ content }) => content), want);
  }

  toldOf([type, fields]) {
    assert.ok(this.told.has(type), `no ${type} was told`);
    this.has(this.told.get(type), fields);
  }

  ask(name, promise) {
    this.outcomes.set(name, "pending");
    promise.then((won) => this.outcomes.set(name, won === false ? "lost" : ""), ({ code }) => this.outcomes.set(name, code));
  }

  outcome([name, want]) {
    assert.equal(this.outcomes.get(name), want);
  }

  end() {
    this.ask("end", this.subject.end());
  }

  rate([score, comment]) {
    this.ask("rate", this.subject.rate(score, comment));
  }

  transfer([to, note]) {
    this.ask("transfer", this.subject.transfer({ to }, note));
  }

  note(content) {
    this.ask("note", this.subject.note(content));
  }

  claim() {
    this.ask("claim", this.subject.claim(ids));
  }

  read(upTo) {
    this.subject.receipts.read(upTo);
  }

  type() {
    this.subject.typing.key("x");
  }

  status([status, capacity]) {
    this.subject.setStatus({ status, capacity });
  }
}

for (const { name, steps } of JSON.parse(readFileSync(new URL("behaviours.json", import.meta.url)))) {
  test(name, async (t) => {
    const behaviour = new Behaviour();
    t.after(() => behaviour.subject.close());
    for (const [number, step] of steps.entries()) {
      const [[kind, value]] = Object.entries(step);
      try {
        await behaviour.step({ sent: "sentOf", told: "toldOf" }[kind] ?? kind, value);
      } catch (cause) {
        throw new Error(`step ${number + 1}, ${JSON.stringify(step)}: ${cause.message}`, { cause });
      }
    }
  });
}
