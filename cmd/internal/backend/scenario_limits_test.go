package backend_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"livesupport/cmd/internal/backend"
)

// TestScenarioSlowReader has the machine to itself: it is heavy, and
// measures time.
func TestScenarioSlowReader(t *testing.T) {
	oneByOne(t, split(unlimited, scenarios{
		"who reads too slowly is closed with 1013, and holds up nobody": func(w *world) {
			v, user, support := w.couple()
			slow := w.rawDial(w.nextChat(), "/chat/"+v.chatID, ws.NewTextFrame([]byte(text(frame("Join", with(v.asUser(), "supportId", v.supportID))))))
			slow.expectJSON(frame("ChatHistory", obj{"messages": []obj{}}))

			// 24 KB each: what the kernel keeps for the slow one is soon full, then
			// the server's queue.
			message := text(frame("ChatMessage", user.says(strings.Repeat("€", 8000))))
			flood := 400
			for !w.tooSlow(slow, flood, func() {
				start := time.Now()
				user.sendText(message)
				for _, c := range []*client{user, support} {
					if got, err := c.next(patience); err != nil || !strings.Contains(got, "€€€") {
						w.Fatalf("%s: %.100s, %v", c.name, got, err)
					}
				}
				if took := time.Since(start); took > 2*time.Second {
					w.Fatalf("the slow one held up the others for %v", took)
				}
			}) {
				if flood *= 2; flood > 3200 {
					w.Fatal("the slow one gets everything: the queue has no bound")
				}
			}
			user.said("the others go on", support)
		},
	}))
}

// tooSlow floods the chat while the slow socket does not read. Then it tells
// whether the socket was closed for that; otherwise everything has come.
func (w *world) tooSlow(slow *rawSocket, flood int, message func()) bool {
	w.Helper()
	_ = slow.SetDeadline(time.Now().Add(time.Minute))
	for range flood {
		message()
	}
	_ = slow.SetReadDeadline(time.Now().Add(2 * patience))
	for got := range flood {
		f, err := slow.next()
		if err != nil {
			w.Fatalf("the slow one's socket ended after %d messages with %v instead of close 1013", got, err)
		}
		if f.Header.OpCode == ws.OpClose {
			if code, _ := ws.ParseCloseFrameData(f.Payload); code != 1013 {
				w.Fatalf("closed with %d", code)
			}
			return true
		}
	}
	return false
}

func TestScenarioMaxSockets(t *testing.T) {
	t.Parallel()
	few := func(c *backend.Config) { c.MaxSockets = 2 }
	inEveryPlace(t, alone(few, scenarios{
		"more sockets than a port may have are answered with 503": func(w *world) {
			v := w.register("Nika")
			path := "/chat/" + v.chatID
			addr := w.nextChat()
			user := w.userAt(addr, v)
			w.userAt(addr, w.register("Ana"))
			for range 3 {
				r := w.get(addr, path, upgrading...)
				w.expectFailure(r, 503, "unavailable")
				if r.header.Get("Retry-After") == "" {
					w.Fatal("no Retry-After")
				}
			}
			w.agent() // the other port has its own sockets
			user.close()
			w.eventually("room for another socket", func() bool {
				conn, _, err := websocket.Dial(w.Context(), "ws://"+addr+path, nil)
				if err == nil {
					_ = conn.CloseNow()
				}
				return err == nil
			})
		},
	}))
}

func TestScenarioMaxMessages(t *testing.T) {
	t.Parallel()
	few := func(c *backend.Config) { c.MaxMessages, c.MetricsAddr = 3, "127.0.0.1:0" }
	inEveryPlace(t, alone(few, scenarios{
		"a chat takes as many messages as it may, and is read on": func(w *world) {
			v, user, support := w.couple()
			user.said("one", support)
			support.said("two", user)
			user.said("three", support)
			for _, c := range []*client{user, support} {
				c.say("four")
				c.expectError("chat_full")
			}
			w.expectFigure(`livesupport_frames_refused_total{code="chat_full",server="chat"}`, 2)
			late := w.chat(v)
			late.rejoins("User")
			late.expectHistory(v.message("User", "one"), v.message("Support", "two"), v.message("User", "three"))
			user.expectAnswersOnly()
			w.couple() // others are not concerned
		},
	}))
}

func TestScenarioJoinTimeout(t *testing.T) {
	t.Parallel()
	const timeout = slowness * time.Second
	soon := func(c *backend.Config) {
		c.JoinTimeout, c.PingInterval, c.MetricsAddr = timeout, 50*time.Millisecond, "127.0.0.1:0"
	}
	inEveryPlace(t, alone(soon, scenarios{
		"who does not join is closed with 1008, and counted": func(w *world) {
			v := w.register("Nika")
			start := time.Now()
			idle, stranger := w.chat(v), w.chat(v)
			stranger.send("Join", without(v.asUser(), "userId"))
			stranger.expectError("bad_request")
			user, agent := w.user(v), w.agent()
			for _, c := range []*client{idle, stranger} {
				c.expectClose(1008)
				w.after(start, timeout)
			}
			w.expectFigure(`livesupport_unjoined_clients_cut_total{server="chat"}`, 2)
			user.said("still here")
			agent.expectAnswersOnly()
		},
	}))
}

// TestScenarioChatFull has the machine to itself: it is heavy.
func TestScenarioChatFull(t *testing.T) {
	const limit, window = 10_000, 100
	oneByOne(t, split(unlimited, scenarios{
		"a chat holds 10,000 messages, then chat_full": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			for i := range limit + window {
				if i < limit {
					user.sendText(fmt.Sprintf(`{"type":"ChatMessage","args":{"from":"User","content":"%d"}}`, i))
				}
				if i < window {
					continue
				}
				got, err := user.next(patience)
				if err != nil || !strings.Contains(got, fmt.Sprintf(`"content":"%d"`, i-window)) {
					w.Fatalf("message %d: %s, %v", i-window, got, err)
				}
			}
			user.say("one more")
			user.expectError("chat_full")
			support := w.support(v, "Vika")
			support.expect("ChatHistory", obj{"messages": match(func(got any) string {
				messages, _ := got.([]any)
				if len(messages) != limit {
					return fmt.Sprintf("%d messages", len(messages))
				}
				for i, message := range messages {
					if got := message.(obj)["content"]; got != fmt.Sprint(i) {
						return fmt.Sprintf("message %d is %v", i, got)
					}
				}
				return ""
			})})
			user.expectSupportJoined()
			support.say("for me too")
			support.expectError("chat_full")
			user.expectAnswersOnly()
		},
	}))
}
