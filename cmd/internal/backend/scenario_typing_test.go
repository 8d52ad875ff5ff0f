package backend_test

import (
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

func typing(from string, typing bool) obj { return obj{"from": from, "typing": typing} }

func TestScenarioTyping(t *testing.T) {
	t.Parallel()
	const ttl = slowness * 2 * time.Second
	short := func(c *backend.Config) { unlimited(c); c.ChatTTL = ttl }
	preview := func(c *backend.Config) { unlimited(c); c.TypingPreview = true }
	inEveryPlace(t, shared(unlimited, scenarios{
		"told to the other role's sockets that listed it, and to nobody else": func(w *world) {
			v, user, support := w.liveCouple("typing")
			settled(user, support)
			tab, plain := w.rejoined(v, "User", []string{"typing"}), w.rejoined(v, "Support", nil)
			pass(time.Second)                                        // settled has typed
			user.send("Typing", obj{"typing": true, "text": "psst"}) // previews are off
			support.expect("Typing", typing("User", true))
			user.send("Typing", obj{"typing": false})
			support.expect("Typing", typing("User", false))
			support.send("Typing", obj{"typing": true})
			user.expect("Typing", typing("Support", true))
			tab.expect("Typing", typing("Support", true))
			each([]*client{user, support, tab, plain}, (*client).expectNothing)
		},
		"at most one a second is passed on": func(w *world) {
			_, user, support := w.liveCouple("typing")
			settled(user, support)
			pass(time.Second) // settled has typed
			for range 10 {
				user.send("Typing", obj{"typing": true})
			}
			support.expect("Typing", typing("User", true))
			support.expectNothing()
			pass(time.Second)
			user.send("Typing", obj{"typing": true})
			support.expect("Typing", typing("User", true))
		},
		"a message ends it without a frame": func(w *world) {
			v, user, support := w.liveCouple("typing")
			settled(user, support)
			pass(time.Second)
			user.send("Typing", obj{"typing": true})
			support.expect("Typing", typing("User", true))
			user.said("done", support)
			user.close()
			support.expectNothing()
			_ = v
		},
		"a socket that closes while it types ends it": func(w *world) {
			_, user, support := w.liveCouple("typing")
			settled(user, support)
			pass(time.Second)
			user.send("Typing", obj{"typing": true})
			support.expect("Typing", typing("User", true))
			user.close()
			support.expect("Typing", typing("User", false))
		},
		"before there is a support it is dropped": func(w *world) {
			v := w.register("Nika")
			user := w.chat(v)
			user.send("Typing", obj{"typing": true})
			user.expectError("not_joined")
			user.joinsWith("User", "typing")
			user.expect("UserJoined", v.pending())
			user.send("Typing", obj{"typing": true})
			user.expectNothing()
		},
		"what is no typing is refused": func(w *world) {
			_, user, support := w.liveCouple("typing")
			for _, args := range []any{obj{}, nil, obj{"typing": nil}, obj{"typing": 1}, obj{"typing": "true"}, obj{"typing": true, "text": 5}} {
				user.send("Typing", args)
				user.expectError("bad_request")
			}
			support.expectNothing()
		},
	}), shared(preview, scenarios{
		"a preview goes to supports that listed it, and is stored nowhere": func(w *world) {
			v, user, support := w.liveCouple("typing", "preview")
			settled(user, support)
			without, alone := w.rejoined(v, "Support", []string{"typing"}), w.rejoined(v, "Support", []string{"preview"})
			pass(time.Second)
			user.send("Typing", obj{"typing": true, "text": "canary"})
			support.expect("Typing", with(typing("User", true), "text", "canary"))
			without.expect("Typing", typing("User", true))
			support.send("Typing", obj{"typing": true, "text": "canary"})
			user.expect("Typing", typing("Support", true))
			user.send("Typing", obj{"typing": true, "text": strings.Repeat("ü", 1001)})
			user.expectError("too_large")
			each([]*client{user, support, without, alone}, (*client).expectNothing)
			if w.entries(v, "canary") != 0 {
				w.Fatal("the log has what was only being typed")
			}
			pass(time.Second)
			long := strings.Repeat("ü", 1000)
			user.send("Typing", obj{"typing": true, "text": long})
			support.expect("Typing", with(typing("User", true), "text", long))
			without.expect("Typing", typing("User", true))
		},
	}), shared(short, scenarios{
		"typing keeps a chat alive, for its time from the last": func(w *world) {
			v, user, support := w.liveCouple("typing")
			began := time.Now()
			for time.Since(began) < 2*ttl {
				user.send("Typing", obj{"typing": true})
				pass(ttl / 20)
			}
			last := time.Now()
			for _, c := range []*client{user, support} {
				c.skip("Typing")
				c.expectExpired(v)
			}
			if took := time.Since(last); took < ttl-ttl/4 || took > ttl+ttl/2 {
				w.Fatalf("the chat lived for %v after the last typing", took)
			}
			w.storeForgets(v)
		},
	}))
}

// settled waits until the servers of a chat know what each of them wants to hear:
// signals may be lost until then. What comes meanwhile is skipped.
func settled(a, b *client) {
	a.t.Helper()
	for _, way := range [][2]*client{{a, b}, {b, a}} {
		heard := func() bool {
			way[0].send("Typing", obj{"typing": true})
			frame, err := way[1].next(1100 * time.Millisecond)
			return err == nil && strings.Contains(frame, `"Typing"`)
		}
		for tries := 0; !heard(); tries++ {
			if tries > 10 {
				a.t.Fatal("typing is never heard")
			}
		}
		way[0].send("Typing", obj{"typing": false})
		way[1].expect("Typing", typing(way[0].role, false))
	}
}
