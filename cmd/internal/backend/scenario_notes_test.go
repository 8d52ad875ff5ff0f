package backend_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

var allFeatures = []string{"messageId", "receipts", "typing", "preview", "presence", "queue", "close", "rating", "transfer", "notes", "files"}

func note(v *visitor, content string) obj {
	return obj{"content": content, "supportId": v.supportID, "supportUserName": v.supportName, "timestamp": aTimestamp}
}

// observer opens a socket that looks on, and wants what it is shown first.
func (w *world) observer(v *visitor, features []string, history ...obj) *client {
	w.Helper()
	c := w.chat(v)
	c.role = "Observer"
	c.send("Join", with(with(with(v.asSupport("Boss"), "from", "Observer"), "features", listed(features)), "supportUserName", "Boss"))
	if v.supportID != "" {
		c.expectSupportJoined()
	}
	c.expectHistory(history...)
	return c
}

func TestScenarioNotes(t *testing.T) {
	t.Parallel()
	notes := []string{"notes"}
	inEveryPlace(t, shared(unlimited, scenarios{
		"a note goes to supports and observers that listed it": func(w *world) {
			v, user, support := w.liveCouple("notes")
			plain, boss := w.rejoined(v, "Support", nil), w.observer(v, notes)
			one := user.said("one", support, plain, boss)
			support.send("Note", obj{"content": "difficult"})
			first := support.expect("Note", note(v, "difficult"))
			boss.expect("Note", first)
			boss.send("Note", obj{"content": "be kind"})
			second := boss.expect("Note", obj{"content": "be kind", "supportId": "", "supportUserName": "Boss", "timestamp": aTimestamp})
			support.expect("Note", second)
			each([]*client{user, plain, support, boss}, (*client).expectNothing)
			for range w.chats {
				for _, late := range []*client{w.rejoined(v, "Support", notes, one), w.observer(v, notes, one)} {
					late.expect("Note", first)
					late.expect("Note", second)
					late.expectNothing()
				}
				w.rejoined(v, "User", notes, one).expectNothing()
			}
		},
		"what is no note is refused": func(w *world) {
			v, user, support := w.liveCouple("notes")
			long := strings.Repeat("ü", 8000)
			for _, args := range []any{obj{}, nil, obj{"content": ""}, obj{"content": nil}, obj{"content": 5}} {
				support.send("Note", args)
				support.expectError("bad_request")
			}
			support.send("Note", obj{"content": long + "x"})
			support.expectError("too_large")
			user.send("Note", obj{"content": "x"})
			user.expectError("forbidden")
			early := w.chat(v)
			early.send("Note", obj{"content": "x"})
			early.expectError("not_joined")
			support.send("Note", obj{"content": long})
			support.expect("Note", note(v, long))
			each([]*client{user, support}, (*client).expectNothing)
		},
		"no byte towards a user has a note's word": func(w *world) {
			v := w.register("Nika")
			user, plain := w.chat(v), w.chat(v)
			user.joinsWith("User", allFeatures...)
			user.expect("UserJoined", v.pending())
			support := w.chat(v)
			support.joinsWith("Support", allFeatures...)
			v.supportName = "Vika"
			v.supportID = support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
			plain.rejoins("User")
			boss := w.observer(v, allFeatures)
			for _, c := range []*client{support, boss} {
				c.send("Note", obj{"content": "canary"})
				c.send("Presence", obj{"state": "away"})
			}
			support.say("bye")
			support.send("CloseChat", nil)
			support.ignoreRest()
			boss.ignoreRest()
			late := w.chat(v)
			pass(300 * time.Millisecond)
			late.joinsWith("User", allFeatures...)
			pass(300 * time.Millisecond)
			for _, c := range []*client{user, plain, late} {
				for {
					frame, err := c.next(quiet)
					if err != nil {
						break
					}
					if strings.Contains(frame, "canary") || strings.Contains(frame, "Note") {
						w.Errorf("%s got %s", c.name, frame)
					}
				}
			}
			if n := w.entries(v, "canary"); n != 2 {
				w.Errorf("the log has %d notes, want 2", n)
			}
		},
	}))
}

func TestScenarioObservers(t *testing.T) {
	t.Parallel()
	const ttl = slowness * 2 * time.Second
	short := func(c *backend.Config) { unlimited(c); c.ChatTTL = ttl }
	inEveryPlace(t, shared(unlimited, scenarios{
		"an observer sees what both sides get, and nobody notices": func(w *world) {
			v, user, support := w.liveCouple("presence", "receipts", "typing")
			support.expect("Presence", present("User", "online"))
			user.expect("Presence", present("Support", "online"))
			one := user.saidNumbered("one", 1, support)
			boss := w.observer(v, []string{"presence", "receipts", "typing"}, one)
			got := []string{}
			for range 2 {
				state := boss.expect("Presence", obj{"from": anything, "state": "online"})
				got = append(got, state["from"].(string))
			}
			if slices.Sort(got); !slices.Equal(got, []string{"Support", "User"}) {
				w.Fatalf("it is told of %v", got)
			}
			two := support.saidNumbered("two", 2, user, boss)
			support.send("Receipt", obj{"read": 1})
			boss.expect("Receipt", receipt("Support", 1, 1))
			user.expect("Receipt", receipt("Support", 1, 1))
			w.observer(v, nil, without(one, "seq"), without(two, "seq"))
			boss.close()
			each([]*client{user, support}, (*client).expectNothing)
		},
		"an observer of a user who waits sees the support come": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			boss := w.observer(v, nil)
			one := user.said("hello?", boss)
			support := w.support(v, "Vika")
			support.expectHistory(one)
			boss.expectSupportJoined()
			user.expectSupportJoined()
			boss.expectNothing()
		},
		"everything but notes and the end is forbidden": func(w *world) {
			v, user, support := w.liveCouple("close")
			boss := w.observer(v, nil)
			for typ, args := range map[string]obj{
				"ChatMessage": {"userId": v.userID, "supportId": v.supportID, "content": "x", "from": "Observer"},
				"Receipt":     {"read": 0}, "Typing": {"typing": true}, "Presence": {"state": "away"}, "Rate": {"score": 5},
			} {
				boss.send(typ, args)
				boss.expectError("forbidden")
			}
			boss.send("ChatMessage", obj{"userId": v.userID, "content": "x", "from": "Support"})
			boss.expectError("forbidden")
			each([]*client{user, support}, (*client).expectNothing)
			boss.send("CloseChat", nil)
			boss.expectExpired(v)
			closed := user.expectClosed("Support")
			support.expect("ChatClosed", closed)
		},
		"the ids are checked, and a name is needed": func(w *world) {
			v := w.register("Nika")
			args := with(v.asSupport("Boss"), "from", "Observer")
			c := w.chat(v)
			c.send("Join", without(args, "supportUserName"))
			c.expectError("bad_request")
			c.send("Join", without(args, "userId"))
			c.expectError("bad_request")
			c.send("Join", with(args, "userId", strings.Repeat("0", 32)))
			c.expectError("forbidden")
			c.expectClose(1008)
		},
	}), shared(short, scenarios{
		"an observer's Join renews nothing": func(w *world) {
			v, user, support := w.couple()
			began := time.Now()
			pass(ttl / 2)
			boss := w.observer(v, nil)
			for _, c := range []*client{user, support, boss} {
				c.expectExpired(v)
			}
			if took := time.Since(began); took > ttl+ttl/3 {
				w.Fatalf("the chat lived for %v", took)
			}
		},
	}))
}
