package backend_test

import (
	"fmt"
	"strings"
	"testing"
)

// listing is the args of a Join that asks for the echo of messageIds.
func listing(args obj) obj { return with(args, "features", []string{"messageId"}) }

// echoCouple is couple with both sockets listing the feature.
func (w *world) echoCouple() (v *visitor, user, support *client) {
	w.Helper()
	v = w.register("Nika")
	user, support = w.chat(v), w.chat(v)
	user.role, support.role = "User", "Support"
	user.send("Join", listing(v.asUser()))
	user.expect("UserJoined", v.pending())
	support.send("Join", listing(v.asSupport("Vika")))
	v.supportName = "Vika"
	v.supportID = support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
	user.expectSupportJoined()
	return v, user, support
}

// sayID sends a ChatMessage with a messageId.
func (c *client) sayID(content string, id any) {
	c.t.Helper()
	c.send("ChatMessage", with(c.says(content), "messageId", id))
}

// expectEcho wants a ChatMessage with its messageId.
func (c *client) expectEcho(from, content, id string) obj {
	c.t.Helper()
	return c.expect("ChatMessage", with(c.v.message(from, content), "messageId", id))
}

func TestScenarioMessageID(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(unlimited, scenarios{
		"echoed only to sockets that listed the feature": func(w *world) {
			v, user, support := w.couple()
			tab := w.chat(v)
			tab.role = "User"
			tab.send("Join", listing(with(v.asUser(), "supportId", v.supportID)))
			tab.expectHistory()
			tab.sayID("with", "id-1")
			with1 := tab.expectEcho("User", "with", "id-1")
			plain1 := without(with1, "messageId")
			user.expect("ChatMessage", plain1)
			support.expect("ChatMessage", plain1)
			without1 := tab.said("without", user, support) // no id, no field

			echoes, plain := w.chat(v), w.chat(v)
			echoes.send("Join", listing(with(v.asUser(), "supportId", v.supportID)))
			echoes.expectHistory(with1, without1)
			plain.rejoins("Support")
			plain.expectHistory(plain1, without1)
		},
		"echoed in the history of a user who waits, and to a new support": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			user.sayID("hello?", "id-1")
			one := with(user.expectMessage("User", "hello?"), "messageId", "id-1")
			tab := w.chat(v)
			tab.send("Join", listing(v.asUser()))
			tab.expect("UserJoined", v.pending())
			tab.expectHistory(one)
			support := w.chat(v)
			support.send("Join", listing(v.asSupport("Vika")))
			v.supportName = "Vika"
			v.supportID = support.expect("SupportJoinedUser", with(v.supported(), "supportId", anyID))["supportId"].(string)
			support.expectHistory(one)
			user.expectSupportJoined()
			tab.expectSupportJoined()
		},
		"echoed in the Error that refuses the message, likewise": func(w *world) {
			v, user, _ := w.echoCouple()
			user.send("ChatMessage", with(with(user.says("x"), "messageId", "id-1"), "from", "Support"))
			user.expectRefusal("forbidden", "id-1")
			user.sayID(strings.Repeat("x", 8001), "id-2")
			user.expectRefusal("too_large", "id-2")
			user.send("ChatMessage", with(without(user.says("x"), "content"), "messageId", "id-3"))
			user.expectRefusal("bad_request", "id-3")
			user.send("ChatMessage", without(user.says("x"), "content"))
			user.expectError("bad_request")
			plain := w.chat(v)
			plain.rejoins("User")
			plain.expectHistory()
			plain.send("ChatMessage", with(with(plain.says("x"), "messageId", "id-1"), "from", "Support"))
			plain.expectError("forbidden")
		},
		"a refused id is not used up": func(w *world) {
			_, user, support := w.echoCouple()
			user.sayID(strings.Repeat("x", 8001), "id-1")
			user.expectRefusal("too_large", "id-1")
			user.sayID("shorter", "id-1")
			user.expectEcho("User", "shorter", "id-1")
			support.expectEcho("User", "shorter", "id-1")
		},
		"a duplicate gets the first one's copy and nobody else gets anything": func(w *world) {
			v, user, support := w.echoCouple()
			tab := w.chat(v)
			tab.rejoins("User")
			tab.expectHistory()
			user.sayID("first", "id-1")
			first := user.expectEcho("User", "first", "id-1")
			support.expect("ChatMessage", first)
			tab.expect("ChatMessage", without(first, "messageId"))

			user.sayID("another text", "id-1")
			user.expect("ChatMessage", first)
			tab.sayID("from the other tab", "id-1")
			tab.expect("ChatMessage", without(first, "messageId"))

			user.expectNothing()
			next := user.said("next", support)
			tab.expect("ChatMessage", next)
			c := w.chat(v)
			c.rejoins("Support")
			c.expectHistory(without(first, "messageId"), next)
		},
		"sending one is enough, without listing the feature": func(w *world) {
			_, user, support := w.couple()
			user.sayID("first", "id-1")
			first := user.expectMessage("User", "first")
			support.expect("ChatMessage", first)
			user.sayID("first", "id-1")
			user.expect("ChatMessage", first)
			support.expectNothing()
			user.said("next", support)
		},
		"ids count per role": func(w *world) {
			_, user, support := w.echoCouple()
			user.sayID("of the user", "id-1")
			user.expectEcho("User", "of the user", "id-1")
			support.expectEcho("User", "of the user", "id-1")
			support.sayID("of the support", "id-1")
			support.expectEcho("Support", "of the support", "id-1")
			user.expectEcho("Support", "of the support", "id-1")
			user.sayID("again", "id-1")
			user.expectEcho("User", "of the user", "id-1")
			support.expectAnswersOnly()
		},
		"ids count per chat": func(w *world) {
			for range 2 {
				_, user, support := w.echoCouple()
				user.sayID("hello", "id-1")
				user.expectEcho("User", "hello", "id-1")
				support.expectEcho("User", "hello", "id-1")
			}
		},
		"an id has 1 to 64 characters": func(w *world) {
			_, user, support := w.echoCouple()
			for _, id := range []string{"x", " ", strings.Repeat("x", 64), strings.Repeat("😀", 64), "\x00<&>\u2028", `"\`} {
				user.sayID("good", id)
				user.expectEcho("User", "good", id)
				support.expectEcho("User", "good", id)
			}
			for _, id := range []any{"", strings.Repeat("x", 65), strings.Repeat("é", 65), 7, []any{}, obj{}} {
				user.sayID("bad", id)
				got := user.expect("Error", match(func(got any) string {
					args, _ := got.(obj)
					// Whether an id that is none is named is left open.
					return mismatch("", obj{"code": "bad_request", "message": aSentence}, without(args, "messageId"))
				}))
				if echoed, ok := got["messageId"]; ok && echoed != id {
					w.Fatalf("the refusal names %v instead of %v", echoed, id)
				}
			}
			support.expectAnswersOnly()
		},
		"a repetition is answered while the first one's receipt is under way": func(w *world) {
			v, user, support := w.echoCouple()
			const times = 20
			for range times {
				user.sayID("once", "id-1")
			}
			first := user.expectEcho("User", "once", "id-1")
			for range times - 1 {
				user.expect("ChatMessage", first)
			}
			support.expect("ChatMessage", first)
			support.expectNothing()
			user.expectAnswersOnly()
			c := w.chat(v)
			c.rejoins("User")
			c.expectHistory(without(first, "messageId"))
		},
		"two tabs send one id at the same moment: stored once, one copy each": func(w *world) {
			v, user, support := w.echoCouple()
			tab := w.chat(v)
			tab.role = "User"
			tab.send("Join", listing(with(v.asUser(), "supportId", v.supportID)))
			tab.expectHistory()
			const rounds = 20
			for i := range rounds {
				id := fmt.Sprint("id-", i)
				user.sayID("from user", id)
				tab.sayID("from tab", id)
				first := support.expect("ChatMessage", with(with(v.message("User", ""), "content", anything), "messageId", id))
				// Whose came second gets the copy beside the delivery.
				loser := tab
				if first["content"] == "from tab" {
					loser = user
				}
				user.expect("ChatMessage", first)
				tab.expect("ChatMessage", first)
				loser.expect("ChatMessage", first)
			}
			support.expectAnswersOnly()
			user.expectAnswersOnly()
			tab.expectAnswersOnly()
		},
		"after a reconnect to another server a client may send again": func(w *world) {
			v, user, support := w.echoCouple()
			user.sayID("did it arrive?", "id-1")
			support.expectEcho("User", "did it arrive?", "id-1")
			user.ignoreRest()
			_ = user.conn.CloseNow() // before it has read its receipt
			for range 2 {            // on each server
				again := w.chat(v)
				again.role = "User"
				again.send("Join", listing(with(v.asUser(), "supportId", v.supportID)))
				history := again.expect("ChatHistory", obj{"messages": []obj{with(v.message("User", "did it arrive?"), "messageId", "id-1")}})
				again.sayID("did it arrive?", "id-1")
				again.expect("ChatMessage", history["messages"].([]any)[0].(obj))
				again.expectAnswersOnly()
			}
			support.expectNothing()
		},
	}))
}
