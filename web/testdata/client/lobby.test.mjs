import assert from "node:assert/strict";
import { test } from "node:test";
import { heard, latest, pass, sockets } from "./world.mjs";
import { Lobby } from "./pages/client.js";

function opened(t) {
  const lobby = new Lobby("http://chat.example:9001");
  lobby.open();
  t.after(() => lobby.close());
  latest().accept();
  latest().tell("PendingUsers", { users: [] });
  return lobby;
}

test("a Load asks for a heartbeat", (t) => {
  opened(t);
  assert.equal(latest().take("Load")[0].heartbeat, 10);
});

test("a connection that died without a word is given up within 15 s", async (t) => {
  const lobby = opened(t);
  for (let i = 0; i < 5; i++) {
    await pass(10_000);
    latest().ping();
  }
  assert.equal(latest().take("Load").length, 1);
  await pass(14_900);
  assert.equal(lobby.state, "ready");
  await pass(200);
  assert.equal(lobby.state, "offline");
  await pass(1_000);
  // The next one dies right after its Load, before it has shown how often it pings.
  latest().accept();
  latest().tell("PendingUsers", { users: [] });
  await pass(15_100);
  assert.equal(lobby.state, "offline");
});

test("a server that pings less often, as it was set up to, is asked instead", async (t) => {
  const lobby = opened(t);
  const server = latest();
  const before = sockets.length;
  for (let asked = 1; asked <= 4; asked++) {
    await pass(11_000);
    assert.equal(server.take("Load").length, asked === 1 ? 2 : 1);
    server.tell("PendingUsers", { users: [] });
  }
  server.ping();
  await pass(44_000);
  assert.equal(server.take("Load").length, 0, "it is known by now");
  assert.equal(lobby.state, "ready");
  assert.equal(sockets.length, before);
});

const token = (claims) => `x.${btoa(JSON.stringify(claims))}.x`;
const user = (userId, since, more) => ({ userId, chatId: `c${userId}`, username: userId, since: `2026-03-01T12:00:0${since}.000000Z`, ...more });

test("a Load asks for what a team needs; for all chats only who supervises", (t) => {
  opened(t);
  assert.deepEqual(latest().take("Load")[0].features, ["verified", "details", "agents", "offers"]);
  const lobby = new Lobby("http://chat.example:9001", () => "", () => ({ name: "Vika", supervises: true }));
  lobby.open();
  t.after(() => lobby.close());
  latest().accept();
  const [load] = latest().take("Load");
  assert.deepEqual([load.features.includes("chats"), load.supportUserName], [true, "Vika"]);
});

test("users stand in the order in which they came, also those who come back", (t) => {
  const lobby = opened(t);
  for (const one of [user("b", 2), user("c", 3), user("a", 1)]) latest().tell("UserJoined", one);
  assert.deepEqual([...lobby.users.keys()], ["a", "b", "c"]);
  latest().tell("UserChanged", user("b", 2, { message: "Hello?" }));
  latest().tell("UserChanged", user("d", 4));
  assert.deepEqual([...lobby.users.values()].map(({ message }) => message), [undefined, "Hello?", undefined]);
  assert.equal(latest().take("Load").length, 1);
});

test("offers are accepted or declined, and end with the connection", async (t) => {
  const lobby = opened(t);
  const told = heard(lobby, "offer");
  const offer = { ...user("a", 1), expires: "2026-03-01T12:00:20.000000Z", from: "Dodo" };
  latest().tell("Offer", offer);
  latest().tell("Offer", offer);
  assert.equal(told.length, 1);
  const claimed = lobby.claim(offer);
  assert.equal(latest().take("JoinUser")[0].userId, "a");
  latest().tell("RemoveUser", { userId: "a" });
  await pass(400);
  assert.equal(await claimed, true);
  assert.equal(lobby.offers.size, 0);
  latest().tell("Offer", offer);
  lobby.decline(offer);
  assert.deepEqual(latest().take("Decline"), [{ userId: "a", chatId: "ca" }]);
  latest().tell("OfferGone", { userId: "a" });
  latest().tell("Offer", user("b", 2));
  latest().drop();
  assert.equal(lobby.offers.size, 0);
});

test("a status is said again after a lost connection, and follows what another machine says", async (t) => {
  const vika = (status, capacity) => ({ agent: "vika", supportUserName: "Vika", status, chats: 0, capacity });
  const dodo = { agent: "dodo", supportUserName: "Dodo", status: "online", chats: 1, capacity: 0 };
  const lobby = new Lobby("http://chat.example:9001", () => token({ sub: "vika" }));
  lobby.open();
  t.after(() => lobby.close());
  const loaded = (...agents) => {
    latest().accept();
    latest().tell("PendingUsers", { users: [] });
    latest().tell("Agents", { agents });
  };
  loaded(vika("online", 0), dodo);
  assert.deepEqual(latest().take("Status"), []);
  assert.deepEqual(lobby.others, [dodo]);
  lobby.setStatus({ status: "away", capacity: 3 });
  assert.deepEqual(latest().take("Status"), [{ status: "away", capacity: 3 }]);
  latest().tell("Agents", { agents: [vika("online", 0), dodo] }); // not yet
  assert.equal(lobby.status.status, "away");
  latest().drop();
  assert.equal(lobby.colleagues, null);
  await pass(1_000);
  loaded(vika("online", 0), dodo);
  assert.deepEqual(latest().take("Status"), [{ status: "away", capacity: 3 }]);
  await pass(4_000);
  latest().tell("Agents", { agents: [vika("online", 2), dodo] });
  assert.deepEqual(lobby.status, { status: "online", capacity: 2 });
});

test("a supervisor's list of all chats", (t) => {
  const lobby = opened(t);
  const talk = { chatId: "c", userId: "u", username: "Nika", agent: "vika", supportId: "s", supportUserName: "Vika", since: "2026-03-01T12:00:00.000000Z" };
  latest().tell("Chat", talk);
  assert.deepEqual([...lobby.chats.values()], [talk]);
  latest().tell("ChatGone", { chatId: "c" });
  assert.equal(lobby.chats.size, 0);
});
