package backend_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"livesupport/cmd/internal/backend"
)

// bothPorts opens a socket of each port.
func (w *world) bothPorts(pong string) map[string]*client {
	w.Helper()
	return map[string]*client{
		"chat":  w.chatAs(w.nextChat(), w.register("Nika"), pong),
		"lobby": w.dial(w.nextLobby(), "/users", pong),
	}
}

func TestScenarioHeartbeat(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(nil, scenarios{
		"the first text frame is ping, right after the upgrade": func(w *world) {
			for port, c := range w.bothPorts("") {
				start := time.Now()
				c.send("AreYouThere", nil)
				c.expectError("unknown_type")
				pings := c.pinged()
				if len(pings) == 0 || c.first != "ping" {
					w.Fatalf("%s: the first frame is %q", port, c.first)
				}
				if late := pings[0].Sub(start); late > 500*time.Millisecond {
					w.Fatalf("%s: the first ping came %v after the upgrade", port, late)
				}
			}
		},
		"then one every second": func(w *world) {
			for port, c := range w.bothPorts("pong:user") {
				w.eventually("four pings", func() bool { return len(c.pinged()) >= 4 })
				pings := c.pinged()
				// The second may come soon after the first.
				if took := pings[3].Sub(pings[0]); took < 1800*time.Millisecond || took > 3*time.Second+slowness*time.Second {
					w.Fatalf("%s: three pings in %v after the first", port, took)
				}
				c.expectAnswersOnly()
			}
		},
		"pongs have two forms, and are legal before Join and Load": func(w *world) {
			v := w.register("Nika")
			chat, lobby := w.chat(v), w.agent()
			for _, c := range []*client{chat, lobby} {
				for _, pong := range []string{
					"pong:user", "pong:support",
					`{"type":"Pong","args":{"from":"User"}}`, `{"type":"Pong","args":{"from":"Support"}}`,
				} {
					c.sendText(pong)
					c.expectAnswersOnly()
				}
			}
			chat.joinsAsUser()
			lobby.send("Load", obj{"batch": true})
			lobby.ignoreRest() // the others of this place wait too
			chat.sendText(`{"type":"Pong","args":{"from":"User"}}`)
			chat.expectAnswersOnly()
		},
	}))
}

// asking adds a heartbeat to the args of a Join or Load.
func asking(heartbeat any, args obj) obj { return with(args, "heartbeat", heartbeat) }

// loadsAsking loads among others, who may wait or not.
func (c *client) loadsAsking(args obj) {
	c.t.Helper()
	c.ignoreRest()
	c.send("Load", with(args, "batch", true))
	c.skipTo(`{"type":"PendingUsers"`)
}

// skipTo reads until a frame that begins so.
func (c *client) skipTo(begin string) {
	c.t.Helper()
	for {
		frame, err := c.next(patience)
		if err != nil {
			c.t.Fatalf("%s: waiting for %s: %v", c.name, begin, err)
		}
		if strings.HasPrefix(frame, begin) {
			return
		}
	}
}

// bothAsking opens a socket of each port that has asked for a heartbeat, and been
// answered.
func (w *world) bothAsking(heartbeat any) map[string]*client {
	w.Helper()
	v := w.register("Nika")
	chat, lobby := w.chat(v), w.agent()
	chat.send("Join", asking(heartbeat, v.asUser()))
	chat.expect("UserJoined", v.pending())
	lobby.loadsAsking(asking(heartbeat, obj{}))
	return map[string]*client{"chat": chat, "lobby": lobby}
}

// pingedAfter waits until so many pings have come from now on, and says when.
func (c *client) pingedAfter(before, n int) []time.Time {
	c.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; pass(20 * time.Millisecond) {
		if pings := c.pinged()[before:]; len(pings) >= n {
			return pings[:n]
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s: not %d pings", c.name, n)
		}
	}
}

// expectOwnHeartbeat wants the pings that the server sends to those who ask for none.
func (c *client) expectOwnHeartbeat() {
	c.t.Helper()
	pings := c.pingedAfter(len(c.pinged()), 3)
	if took := pings[2].Sub(pings[0]); took > 2*time.Second+slowness*time.Second {
		c.t.Fatalf("%s: two pings took %v, a second apart", c.name, took)
	}
}

// expectNoPing watches for longer than the server's own interval.
func (c *client) expectNoPing() {
	c.t.Helper()
	before := len(c.pinged())
	pass(2500 * time.Millisecond)
	if n := len(c.pinged()) - before; n > 0 {
		c.t.Errorf("%s: %d pings, though none was due", c.name, n)
	}
}

func TestScenarioChosenHeartbeat(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(nil, scenarios{
		"from the answer on the ping comes so often": func(w *world) {
			sockets := w.bothAsking(3)
			answered := time.Now()
			for port, c := range sockets {
				before := len(slices.DeleteFunc(c.pinged(), answered.Before))
				for i, at := range c.pingedAfter(before, 2) {
					want := time.Duration(i+1) * 3 * time.Second
					if after := at.Sub(answered); after < want-time.Second || after > want+slowness*time.Second {
						w.Errorf("%s: ping %d came %v after the answer, want %v", port, i+1, after, want)
					}
				}
			}
		},
		"others in the same chat keep theirs": func(w *world) {
			v := w.register("Nika")
			c := w.chat(v)
			c.send("Join", asking(30, v.asUser()))
			c.expect("UserJoined", v.pending())
			before := len(c.pinged())
			w.user(v).expectOwnHeartbeat()
			if n := len(c.pinged()) - before; n > 0 {
				w.Errorf("%d pings within some seconds, though the first was due after 30 s", n)
			}
		},
		"anything but a whole number from 1 to 30 is bad_request, and changes nothing": func(w *world) {
			v := w.register("Nika")
			chat, lobby := w.chat(v), w.agent()
			for _, bad := range []any{
				0, 31, -1, 10.5, json.RawMessage("10.0"), json.RawMessage("1e1"), json.RawMessage("1e400"), 1 << 40,
				"10", "", true, []int{10}, obj{},
			} {
				chat.send("Join", asking(bad, v.asUser()))
				chat.expectError("bad_request")
				lobby.send("Load", asking(bad, obj{}))
				lobby.expectError("bad_request")
			}
			chat.expectOwnHeartbeat()
			lobby.expectOwnHeartbeat()
			chat.joinsAsUser()
			chat.expectOwnHeartbeat()
		},
		"a Join that fails changes nothing": func(w *world) {
			v := w.register("Nika")
			c := w.chat(v)
			c.send("Join", without(asking(30, v.asUser()), "userId"))
			c.expectError("bad_request")
			c.expectOwnHeartbeat()
			c.joinsAsUser()
			c.send("Join", asking(30, v.asUser()))
			c.expectError("bad_request") // a socket joins once
			c.expectOwnHeartbeat()
		},
		"null is as absent": func(w *world) {
			for _, c := range w.bothAsking(nil) {
				c.strays()
				c.expectOwnHeartbeat()
			}
		},
		"a later Load replaces it": func(w *world) {
			c := w.agent()
			c.loadsAsking(asking(30, obj{}))
			c.expectNoPing()
			c.send("Load", asking(0, obj{}))
			c.skipTo(`{"type":"Error"`)
			c.expectNoPing()
			c.loadsAsking(asking(1, obj{}))
			c.expectOwnHeartbeat() // the same by chance
			c.loadsAsking(asking(30, obj{}))
			c.expectNoPing()
			c.loadsAsking(obj{})
			c.expectOwnHeartbeat()
		},
	}), shared(func(c *backend.Config) { c.PingInterval = time.Hour }, scenarios{
		"it may be shorter than the server's own": func(w *world) {
			for port, c := range w.bothAsking(1) {
				pings := c.pingedAfter(len(c.pinged()), 3)
				if took := pings[2].Sub(pings[0]); took < 1500*time.Millisecond || took > 2*time.Second+slowness*time.Second {
					w.Errorf("%s: two pings took %v, a second apart", port, took)
				}
			}
		},
	}))
}

func TestScenarioIdle(t *testing.T) {
	t.Parallel()
	const idle = 1500 * time.Millisecond
	tune := func(c *backend.Config) { c.IdleTimeout, c.PingInterval = idle, 200*time.Millisecond }
	inEveryPlace(t, shared(tune, scenarios{
		"nothing at all comes: closed with 1000": func(w *world) {
			start := time.Now()
			for _, c := range w.bothPorts("") {
				c.expectClose(1000)
				w.after(start, idle)
			}
		},
		"a joined socket too, and the chat goes on": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			dead := w.chatAs(w.nextChat(), v, "")
			start := time.Now()
			dead.joinsAsUser()
			dead.expectClose(1000)
			w.after(start, idle)
			user.said("still here")
		},
		"a client that answers its pings is never cut": func(w *world) {
			var all []*client
			for _, pong := range []string{"pong:user", "pong:support", `{"type":"Pong","args":{"from":"User"}}`, `{"type":"Pong","args":{"from":"Support"}}`} {
				for _, c := range w.bothPorts(pong) {
					all = append(all, c)
				}
			}
			pass(3 * idle)
			each(all, (*client).expectAnswersOnly)
		},
		"not even when it has chosen a longer heartbeat": func(w *world) {
			sockets := w.bothAsking(3)
			for _, c := range sockets {
				c.pingedAfter(len(c.pinged()), 3)
				c.send("AreYouThere", nil)
				c.skipTo(`{"type":"Error","args":{"code":"unknown_type"`)
			}
		},
		"who leaves two pings of a longer heartbeat unanswered is closed": func(w *world) {
			v := w.register("Nika")
			c := w.chatAs(w.nextChat(), v, "")
			c.send("Join", asking(2, v.asUser()))
			start := time.Now()
			c.expect("UserJoined", v.pending())
			c.expectClose(1000)
			w.after(start, 4*time.Second)
		},
		"whatever comes counts, a ping frame as well": func(w *world) {
			sockets := w.bothPorts("")
			for start := time.Now(); time.Since(start) < 2*idle; pass(idle / 5) {
				for port, c := range sockets {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					err := c.conn.Ping(ctx)
					cancel()
					if err != nil {
						w.Fatalf("%s: %v", port, err)
					}
				}
			}
			for _, c := range sockets {
				if err := c.write(websocket.MessageText, "pong"); err != nil {
					w.Fatal(err)
				}
				c.expectError("bad_json")
			}
		},
	}))
}
