import assert from "node:assert/strict";
import { test } from "node:test";
import { latest, pass, sockets } from "./world.mjs";
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
