package backend_test

import (
	"testing"
	"time"
)

var receipts = []string{"receipts"}

func receipt(from string, delivered, read int) obj {
	return obj{"from": from, "delivered": float64(delivered), "read": float64(read)}
}

// numbered is a message as sockets get it that have listed receipts.
func numbered(message obj, seq int) obj { return with(message, "seq", float64(seq)) }

// saidNumbered is said for sockets that have listed receipts.
func (c *client) saidNumbered(content string, seq int, to ...*client) obj {
	c.t.Helper()
	c.say(content)
	first := c.expect("ChatMessage", numbered(c.v.message(c.role, content), seq))
	for _, other := range to {
		other.expect("ChatMessage", first)
	}
	return first
}

func TestScenarioReceipts(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(unlimited, scenarios{
		"messages are numbered for sockets that listed it, and for nobody else": func(w *world) {
			v, user, support := w.liveCouple("receipts")
			plain := w.rejoined(v, "Support", nil)
			one := user.saidNumbered("one", 1, support)
			plain.expect("ChatMessage", without(one, "seq"))
			two := support.saidNumbered("two", 2, user)
			plain.expect("ChatMessage", without(two, "seq"))
			w.rejoined(v, "User", receipts, one, two)
			w.rejoined(v, "User", []string{"messageId"}, without(one, "seq"), without(two, "seq"))
		},
		"with messageId both fields come": func(w *world) {
			v, user, support := w.liveCouple("receipts", "messageId")
			user.sayID("one", "id-1")
			one := user.expect("ChatMessage", with(numbered(v.message("User", "one"), 1), "messageId", "id-1"))
			support.expect("ChatMessage", one)
			user.sayID("again", "id-1")
			user.expect("ChatMessage", one)
		},
		"a mark is told to all that listed it but the one that sent it": func(w *world) {
			v, user, support := w.liveCouple("receipts")
			tab := w.rejoined(v, "Support", receipts)
			plain := w.rejoined(v, "User", nil)
			one := user.saidNumbered("one", 1, support, tab)
			plain.expect("ChatMessage", without(one, "seq"))
			support.send("Receipt", obj{"delivered": 1})
			user.expect("Receipt", receipt("Support", 1, 0))
			tab.expect("Receipt", receipt("Support", 1, 0))
			tab.send("Receipt", obj{"read": 1})
			user.expect("Receipt", receipt("Support", 1, 1))
			support.expect("Receipt", receipt("Support", 1, 1))
			each([]*client{user, support, tab, plain}, (*client).expectNothing)
		},
		"sending needs no listing": func(w *world) {
			v, user, support := w.couple()
			listening := w.rejoined(v, "User", receipts)
			one := user.said("one", support)
			listening.expect("ChatMessage", numbered(one, 1))
			support.send("Receipt", obj{"read": 1})
			listening.expect("Receipt", receipt("Support", 1, 1))
			each([]*client{user, support}, (*client).expectNothing)
		},
		"marks only grow": func(w *world) {
			v, user, support := w.liveCouple("receipts")
			for i, content := range []string{"a", "b", "c"} {
				user.saidNumbered(content, i+1, support)
			}
			support.send("Receipt", obj{"read": 2, "delivered": 3})
			user.expect("Receipt", receipt("Support", 3, 2))
			support.strays() // null is as absent
			for _, args := range []obj{{"read": 2}, {"read": 1}, {"delivered": 3}, {"delivered": 1, "read": 0}, {"read": 2, "delivered": nil}} {
				support.send("Receipt", args)
			}
			each([]*client{user, support}, (*client).expectNothing)
			w.eventually("the mark is logged", func() bool { return w.logs(v, `"read"`) })
			tab := w.chat(v)
			tab.joinsWith("Support", "receipts")
			tab.expect("ChatHistory", anything)
			tab.expect("Receipt", obj{"from": "Support", "read": 2.0, "delivered": anything})
		},
		"what is no mark is refused, and nothing of it taken": func(w *world) {
			v, user, support := w.liveCouple("receipts")
			user.saidNumbered("one", 1, support)
			for _, args := range []any{
				obj{"read": 2}, obj{"delivered": 2}, obj{"delivered": 1, "read": 2}, obj{"delivered": 2, "read": 1},
				obj{"read": -1}, obj{"delivered": 1, "read": -1}, obj{"read": 0.5}, obj{"read": "1"}, obj{"read": true},
				obj{"read": []int{1}}, obj{}, nil, obj{"read": nil}, obj{"seq": 1}, obj{"read": 1e30},
			} {
				support.send("Receipt", args)
				support.expectError("bad_request")
			}
			user.expectNothing()
			support.send("Receipt", obj{"read": 1})
			user.expect("Receipt", receipt("Support", 1, 1))
			early := w.chat(v)
			early.send("Receipt", obj{"read": 1})
			early.expectError("not_joined")
		},
		"what was read is told to whoever joins later, after the answers": func(w *world) {
			v, user, support := w.liveCouple("receipts")
			one := user.saidNumbered("one", 1, support)
			two := support.saidNumbered("two", 2, user)
			support.send("Receipt", obj{"read": 1})
			user.expect("Receipt", receipt("Support", 1, 1))
			user.send("Receipt", obj{"read": 2})
			support.expect("Receipt", receipt("User", 2, 2))
			w.eventually("both marks are logged", func() bool { return w.logs(v, `"read"`, `"read"`) })
			for range w.chats {
				late := w.rejoined(v, "User", receipts, one, two)
				late.expect("Receipt", receipt("User", 2, 2))
				late.expect("Receipt", receipt("Support", 1, 1))
				late.expectNothing()
			}
			w.rejoined(v, "Support", nil, without(one, "seq"), without(two, "seq")).expectNothing()
		},
		"the last mark counts though its socket closes at once": func(w *world) {
			v, user, support := w.liveCouple("receipts")
			one := user.saidNumbered("one", 1, support)
			support.send("Receipt", obj{"read": 1})
			support.close()
			user.expect("Receipt", receipt("Support", 1, 1))
			user.close()
			w.eventually("the mark is logged", func() bool { return w.logs(v, `"read"`) })
			late := w.rejoined(v, "User", receipts, one)
			late.expect("Receipt", receipt("Support", 1, 1))
		},
		"a user who waits has marks, and a new support sees them": func(w *world) {
			v := w.register("Nika")
			user := w.chat(v)
			user.joinsWith("User", "receipts")
			user.expect("UserJoined", v.pending())
			one := user.saidNumbered("one", 1)
			user.send("Receipt", obj{"read": 1})
			w.eventually("the mark is logged", func() bool { return w.logs(v, `"read"`) })
			support := w.chat(v)
			support.joinsWith("Support", "receipts")
			v.supportName = "Vika"
			v.supportID = support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
			support.expectHistory(one)
			user.expectSupportJoined()
			support.expect("Receipt", receipt("User", 1, 1))
		},
		"many marks within a second become few entries": func(w *world) {
			v, user, support := w.liveCouple("receipts")
			for i := range 30 {
				user.saidNumbered("x", i+1, support)
			}
			began := time.Now()
			for i := range 30 {
				support.send("Receipt", obj{"read": i + 1})
				user.expect("Receipt", receipt("Support", i+1, i+1))
			}
			took := time.Since(began)
			w.eventually("the last mark is logged", func() bool { return w.logs(v, `"seq":30`) })
			if n := w.entries(v, `"kind":"read"`); n > 3+int(took/(500*time.Millisecond)) {
				w.Fatalf("%d entries for 30 marks in %v", n, took)
			}
		},
	}))
}
