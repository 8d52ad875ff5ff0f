package backend_test

import (
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

var closing = []string{"close"}

// expectClosed wants the end of the chat as sockets get it that have listed close.
func (c *client) expectClosed(from string) obj {
	c.t.Helper()
	return c.expect("ChatClosed", obj{"chatId": c.v.chatID, "from": from, "timestamp": aTimestamp})
}

func TestScenarioClose(t *testing.T) {
	t.Parallel()
	const ttl = slowness * 2 * time.Second
	short := func(c *backend.Config) { unlimited(c); c.ChatTTL = ttl }
	inEveryPlace(t, shared(unlimited, scenarios{
		"a user ends the chat for both sides": func(w *world) {
			v, user, support := w.liveCouple("close")
			tab, plain := w.rejoined(v, "User", closing), w.rejoined(v, "Support", nil)
			user.send("CloseChat", nil)
			closed := user.expectClosed("User")
			for _, c := range []*client{support, tab} {
				c.expect("ChatClosed", closed)
			}
			plain.expectExpired(v)
			support.send("CloseChat", nil) // a second one is ignored
			each([]*client{user, support, tab}, (*client).expectNothing)
		},
		"a support ends it, and a user of the original README sees it expire": func(w *world) {
			v, user, support := w.couple()
			support.send("CloseChat", obj{})
			user.expectExpired(v)
			support.expectExpired(v)
			again := w.chat(v)
			again.rejoins("User")
			again.expectExpired(v)
		},
		"nothing but reads and ratings is taken afterwards": func(w *world) {
			v, user, support := w.liveCouple("close", "messageId", "receipts", "rating")
			user.sayID("known", "id-1")
			known := user.expect("ChatMessage", with(numbered(v.message("User", "known"), 1), "messageId", "id-1"))
			support.expect("ChatMessage", known)
			support.send("CloseChat", nil)
			user.expectClosed("Support")
			support.expectClosed("Support")
			user.sayID("more", "id-2")
			user.expectRefusal("chat_closed", "id-2")
			support.say("more")
			support.expectError("chat_closed")
			user.sayID("known", "id-1")
			user.expect("ChatMessage", known)
			support.send("Receipt", obj{"read": 1})
			user.expect("Receipt", receipt("Support", 1, 1))
			user.send("Rate", obj{"score": 4})
			rated := user.expect("Rated", obj{"score": 4.0, "timestamp": aTimestamp})
			support.expect("Rated", rated)
		},
		"whoever joins a closed chat is told so, behind the history": func(w *world) {
			v, user, support := w.liveCouple("close", "rating")
			one := user.said("one", support)
			user.send("CloseChat", nil)
			closed := user.expectClosed("User")
			support.expect("ChatClosed", closed)
			user.send("Rate", obj{"score": 5, "comment": "fine"})
			rated := user.expect("Rated", obj{"score": 5.0, "comment": "fine", "timestamp": aTimestamp})
			support.expect("Rated", rated)
			for range w.chats {
				for _, role := range []string{"User", "Support"} {
					late := w.rejoined(v, role, []string{"close", "rating"}, one)
					late.expect("Rated", rated)
					late.expect("ChatClosed", closed)
					late.expectNothing()
					plain := w.chat(v)
					plain.rejoins(role)
					plain.expectExpired(v)
				}
			}
			first := w.chat(v)
			first.role = "Support"
			first.send("Join", with(v.asSupport("Dodo"), "features", closing))
			first.expectExpired(v)
			stranger := w.chat(v)
			stranger.send("Join", with(with(v.asSupport("Dodo"), "supportId", "0123456789abcdef0123456789abcdef"), "features", closing))
			stranger.expectError("forbidden")
			stranger.expectClose(1008)
			other := w.chat(v)
			other.send("Join", with(with(v.asUser(), "userId", "0123456789abcdef0123456789abcdef"), "features", closing))
			other.expectError("forbidden")
			other.expectClose(1008)
		},
		"only those who have the chat may end it": func(w *world) {
			v := w.register("Nika")
			early := w.chat(v)
			early.send("CloseChat", nil)
			early.expectError("not_joined")
		},
		"close from both sides at once has one end": func(w *world) {
			_, user, support := w.liveCouple("close")
			user.send("CloseChat", nil)
			support.send("CloseChat", nil)
			closed := user.expect("ChatClosed", anything)
			support.expect("ChatClosed", closed)
			each([]*client{user, support}, (*client).expectNothing)
		},
		"close against messages: what is refused is seen by nobody": func(w *world) {
			v, user, support := w.liveCouple("close")
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 20 {
					user.say("x")
				}
			}()
			support.send("CloseChat", nil)
			<-done
			var seen, refused int
			for range 20 + 1 {
				frame, err := user.next(patience)
				if err != nil {
					w.Fatal(err)
				}
				object, err := parse(frame)
				switch {
				case err != nil:
					w.Fatal(err)
				case object["type"] == "ChatMessage":
					seen++
				case object["type"] == "Error" && mismatch("Error", obj{"code": "chat_closed", "message": aSentence}, object["args"]) == "":
					refused++
				case object["type"] != "ChatClosed":
					w.Fatalf("got %s", frame)
				}
			}
			if seen+refused != 20 {
				w.Fatalf("%d seen and %d refused of 20", seen, refused)
			}
			for range seen {
				support.expectMessage("User", "x")
			}
			support.expectClosed("Support")
			late := w.chat(v)
			late.joinsWith("User", "close")
			late.expect("ChatHistory", match(func(got any) string {
				messages, _ := got.(obj)["messages"].([]any)
				if len(messages) != seen {
					return "the history has another number of messages"
				}
				return ""
			}))
			late.expectClosed("Support")
		},
	}), alone(unlimited, scenarios{
		"a waiting user who ends the chat leaves the queue at once": func(w *world) {
			v := w.register("Nika")
			user := w.chat(v)
			user.joinsWith("User", "close")
			user.expect("UserJoined", v.pending())
			agents := w.agents(2, v)
			user.send("CloseChat", nil)
			user.expectClosed("User")
			each(agents, func(a *client) { a.expectRemoved(v) })
			support := w.chat(v)
			support.send("Join", v.asSupport("Vika"))
			support.expectExpired(v)
			tab := w.chat(v)
			tab.joinsWith("User", "close")
			tab.expect("UserJoined", v.pending())
			tab.expectClosed("User")
			each(agents, (*client).expectNothing)
			w.loadedAgent()
		},
	}), shared(short, scenarios{
		"a closed chat ends in its time, whatever happens in it": func(w *world) {
			v, user, support := w.liveCouple("close", "rating", "receipts")
			user.saidNumbered("one", 1, support)
			began := time.Now()
			user.send("CloseChat", nil)
			user.expectClosed("User")
			support.expectClosed("User")
			pass(ttl / 2)
			user.send("Rate", obj{"score": 1})
			user.expect("Rated", anything)
			support.expect("Rated", anything)
			support.send("Receipt", obj{"read": 1})
			user.expect("Receipt", receipt("Support", 1, 1))
			late := w.chat(v)
			late.joinsWith("Support", "close")
			late.expect("ChatHistory", anything)
			late.expectClosed("User")
			for _, c := range []*client{user, support, late} {
				c.expectExpired(v)
			}
			if took := time.Since(began); took < ttl-100*time.Millisecond || took > ttl+ttl/2 {
				w.Fatalf("the chat lived for %v after its end", took)
			}
			w.storeForgets(v)
		},
	}))
}
