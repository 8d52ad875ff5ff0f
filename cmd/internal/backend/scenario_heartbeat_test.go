package backend_test

import (
	"context"
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
