package backend_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"livesupport/cmd/internal/backend"
)

func TestScenarioMessage(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(unlimited, scenarios{
		"both sides get it, with the chat's supportId": func(w *world) {
			v, user, support := w.couple()
			user.said("hello", support)
			support.said("hi", user)
			// Whatever the sender says the supportId is, the server knows it.
			for _, id := range []string{"", "nonsense", v.userID} {
				user.send("ChatMessage", with(user.says("whose?"), "supportId", id))
				user.expectMessage("User", "whose?")
				support.expectMessage("User", "whose?")
			}
			user.send("ChatMessage", without(user.says("nobody's?"), "supportId"))
			user.expectMessage("User", "nobody's?")
			support.expectMessage("User", "nobody's?")
		},
		"a user who waits writes with an empty supportId": func(w *world) {
			v := w.register("Nika")
			user, tab := w.user(v), w.user(v)
			user.said("hello?", tab)
			user.send("ChatMessage", with(user.says("still me"), "supportId", strings.Repeat("a", 32)))
			user.expectMessage("User", "still me")
			tab.expectMessage("User", "still me")
		},
		"a support writes before the user connects": func(w *world) {
			v := w.register("Nika")
			support := w.support(v, "Vika")
			support.said("are you there?")
		},
		"from must be the socket's role: forbidden": func(w *world) {
			_, user, support := w.couple()
			user.send("ChatMessage", with(user.says("I am the support"), "from", "Support"))
			user.expectError("forbidden")
			support.send("ChatMessage", with(support.says("I am the user"), "from", "User"))
			support.expectError("forbidden")
			user.said("and it stayed open", support)
		},
		"userId, when given, must be the chat's: forbidden": func(w *world) {
			v, user, support := w.couple()
			user.send("ChatMessage", with(user.says("I am another"), "userId", strings.Repeat("a", 32)))
			user.expectError("forbidden")
			support.send("ChatMessage", with(support.says("to another"), "userId", v.supportID))
			support.expectError("forbidden")
			support.send("ChatMessage", without(support.says("need not be given"), "userId"))
			support.expectMessage("Support", "need not be given")
			user.expectMessage("Support", "need not be given")
		},
		"a field missing, empty or of the wrong kind: bad_request": func(w *world) {
			_, user, support := w.couple()
			good := user.says("hello")
			for _, args := range []any{
				nil, "hello", []any{}, 7,
				without(good, "content"), with(good, "content", ""), with(good, "content", 7),
				with(good, "content", []any{"hello"}), with(good, "content", true),
				without(good, "from"), with(good, "from", 7), with(good, "userId", 7), with(good, "supportId", 7),
			} {
				user.send("ChatMessage", args)
				user.expectError("bad_request")
			}
			user.said("hello", support)
		},
		"content is kept byte for byte": func(w *world) {
			v, user, support := w.couple()
			var history []obj
			for _, content := range []string{
				" ", "\n", "  spaces around  ", "tab\tand\r\nline", `"quotes" and \backslashes\`, "/slash/",
				"<b>&amp;</b> 'x' > y", "\u2028\u2029", "\x00", "a\x00b\x1f\x7f", "e\u0301 is not \u00e9", "\ufeffBOM", "\ufffd",
				"😀👩‍👩‍👧🏳️‍🌈", "ქართული", "שלום", "\U0010ffff\uffff", "null", "ping", "pong:user", `{"type":"Join"}`, "*1\r\n$4\r\nPING\r\n",
			} {
				history = append(history, user.said(content, support))
			}
			c := w.chat(v)
			c.rejoins("User")
			c.expectHistory(history...)
		},
		"escapes are what they stand for": func(w *world) {
			_, user, support := w.couple()
			for escaped, content := range map[string]string{
				`\u0000`:             "\x00",
				`\u0041\u00e9\u2028`: "Aé\u2028",
				`\ud83d\ude00`:       "😀",
				`\"\\\/\b\f\n\r\t`:   "\"\\/\b\f\n\r\t",
				`\u003cb\u003e`:      "<b>",
				"<>&\u2028é😀\x7f":    "<>&\u2028é😀\x7f",
			} {
				user.sendText(`{"type":"ChatMessage","args":{"from":"User","content":"` + escaped + `"}}`)
				user.expectMessage("User", content)
				support.expectMessage("User", content)
			}
		},
		"content has 1 to 8,000 characters, counted as code points": func(w *world) {
			_, user, support := w.couple()
			user.said("x", support)
			for _, character := range []string{"x", "é", "€", "😀", "\n"} {
				user.say(strings.Repeat(character, 8001))
				user.expectError("too_large")
				user.said(strings.Repeat(character, 8000), support)
			}
			user.said(strings.Repeat("e\u0301", 4000), support)
			user.say(strings.Repeat("e\u0301", 4000) + "!")
			user.expectError("too_large")
		},
		"timestamps never decrease within a chat, and are the history's": func(w *world) {
			v, user, support := w.couple()
			var history []obj
			last := ""
			for i := range 40 {
				sender, other := user, support
				if i%2 == 1 {
					sender, other = support, user
				}
				message := sender.said(fmt.Sprint("number ", i), other)
				if now := message["timestamp"].(string); now < last {
					w.Fatalf("%s after %s", now, last)
				} else {
					last = now
				}
				history = append(history, message)
			}
			c := w.chat(v)
			c.rejoins("Support")
			c.expectHistory(history...)
		},
		"no JSON object: bad_json": func(w *world) {
			v, user, support := w.couple()
			unjoined := w.chat(v)
			for _, bad := range []string{
				"", " ", "hello", "null", "true", "17", `"Join"`, "[]", `[{"type":"Join"}]`, "{", "}", `{"type":"Jo`, `{"type":"Join","args":{`,
				`{"type":"Join"}}`, `{"type":"Join"}{"type":"Join"}`, `{"type":"Join"} x`, `{type:"Join"}`, `{'type':'Join'}`, `{"type":"Join",}`,
				"{\"type\":\"Join\",\"args\":{\"userId\":\"\xff\"}}", "\xff\xfe", "{\"type\":\"a\nb\"}",
				`{"type":"ChatMessage","args":{"from":"User","content":"\ud800"}}`, `{"type":"ChatMessage","args":{"from":"User","content":"\udc00x"}}`,
				`{"type":"ChatMessage","args":{"from":"User","content":"\ud83d\u0041"}}`, "{\"type\":\"ChatMessage\",\"args\":{\"content\":\"\xed\xa0\x80\"}}",
				`{"type":"ChatMessage","args":{"from":"User","content":"\x41"}}`, `{"type":"ChatMessage","args":{"from":"User","content":"\u00"}}`,
				"pong", "pong:", "ping", "PONG:USER", "pong:user ", strings.Repeat("[", 60_000), strings.Repeat(`{"a":`, 12_000),
			} {
				for _, c := range []*client{user, unjoined} {
					c.sendText(bad)
					got, err := c.take(frame("Error", obj{"code": "bad_json", "message": aSentence}))
					if err != nil {
						w.Fatalf("for %.100q: %v (%v)", bad, err, got)
					}
				}
			}
			for _, binary := range []string{"", "pong:user", text(frame("ChatMessage", user.says("hello")))} {
				if err := user.write(websocket.MessageBinary, binary); err != nil {
					w.Fatal(err)
				}
				user.expectError("bad_json")
			}
			user.said("and it stayed open", support)
		},
		"type missing, empty or no string: bad_request; not known: unknown_type": func(w *world) {
			v, user, support := w.couple()
			for _, c := range []*client{user, w.chat(v)} {
				for _, bad := range []string{
					`{}`, `{"args":{}}`, `{"type":""}`, `{"type":7}`, `{"type":null}`, `{"type":{}}`, `{"type":["Join"]}`, `{"Type":"Join"}`, `{"TYPE":"Join"}`,
				} {
					c.sendText(bad)
					c.expectError("bad_request")
				}
				for _, typ := range []string{
					"Nonsense", "join", "JOIN", " Join", "chatMessage", "Chatmessage", "Load", "JoinUser", "UserJoined", "ChatHistory", "Error", "ping", "\x00", strings.Repeat("x", 5000),
				} {
					c.send(typ, obj{})
					c.expectError("unknown_type")
				}
			}
			user.said("and it stayed open", support)
		},
		"a frame has up to 65,536 bytes; more closes 1009": func(w *world) {
			v, user, support := w.couple()
			user.sendText(padded(user.says("the largest"), 65_536))
			user.expectMessage("User", "the largest")
			support.expectMessage("User", "the largest")
			for _, size := range []int{65_537, 200_000} {
				c := w.chat(v)
				c.rejoins("User")
				c.expect("ChatHistory", obj{"messages": anything})
				// The server may cut it before all of it has been sent.
				_ = c.write(websocket.MessageText, padded(c.says("too large"), size))
				c.expectTooBig()
			}
			user.said("nobody saw it", support)
		},
		"only content is counted": func(w *world) {
			_, user, support := w.couple()
			user.send("ChatMessage", with(user.says("short"), "supportId", strings.Repeat("x", 9000)))
			user.expectMessage("User", "short")
			support.expectMessage("User", "short")
		},
	}))
}

// padded is a ChatMessage in a frame of exactly this many bytes.
func padded(args obj, size int) string {
	bare := text(frame("ChatMessage", args))
	return bare + strings.Repeat(" ", size-len(bare))
}

// expectTooBig wants close 1009; the error that goes with it may come before.
func (c *client) expectTooBig() {
	c.t.Helper()
	got, err := c.next(patience)
	if err == nil {
		answer, _ := parse(got)
		if wrong := mismatch("", frame("Error", obj{"code": "too_large", "message": aSentence}), answer); wrong != "" {
			c.t.Fatalf("%s: got %s: %s", c.name, got, wrong)
		}
		_, err = c.next(patience)
	}
	if websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		c.t.Fatalf("%s: ended with %v instead of close 1009", c.name, err)
	}
}

func TestScenarioMessageRate(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, shared(nil, scenarios{
		"40 at once, then rate_limited: refused, not delayed": func(w *world) {
			v, user, support := w.couple()
			tab := w.chat(v)
			tab.rejoins("User")
			tab.expectHistory()
			const sent = 100
			start := time.Now()
			for i := range sent {
				user.say(fmt.Sprint(i))
			}
			var accepted []obj
			refused := 0
			for range sent {
				got, err := user.next(patience)
				if err != nil {
					w.Fatal(err)
				}
				answer, err := parse(got)
				if err != nil {
					w.Fatal(err)
				}
				switch {
				case mismatch("", frame("ChatMessage", v.message("User", "")), with(answer, "args", with(answer["args"].(obj), "content", ""))) == "":
					accepted = append(accepted, answer["args"].(obj))
				case mismatch("", frame("Error", obj{"code": "rate_limited", "message": aSentence}), answer) == "":
					refused++
				default:
					w.Fatalf("got %s", got)
				}
			}
			took := time.Since(start)
			most := 40 + int(20*took.Seconds()) + 1
			if n := len(accepted); n < 40 || n > most {
				w.Fatalf("%d of %d accepted in %v, want 40 to %d", n, sent, took, most)
			}
			for _, message := range accepted {
				support.expect("ChatMessage", message)
				tab.expect("ChatMessage", message)
			}
			// The limit is the socket's: the other tab may write.
			accepted = append(accepted, tab.said("from the other tab", user, support))
			// It is sustained: 20 a second come back.
			pass(300 * time.Millisecond)
			accepted = append(accepted, user.said("again", tab, support))
			c := w.chat(v)
			c.rejoins("User")
			c.expectHistory(accepted...)
		},
	}), alone(func(c *backend.Config) { c.MessageRate, c.MessageBurst = 2, 5 }, scenarios{ // on a busy machine, too
		"a refused one may be sent again with its messageId": func(w *world) {
			v := w.register("Nika")
			user := w.chat(v)
			user.role = "User"
			user.send("Join", with(v.asUser(), "features", []string{"messageId"}))
			user.expect("UserJoined", v.pending())
			refused := ""
			for i := 0; refused == "" && i < 100; i++ {
				id := fmt.Sprint("id-", i)
				user.send("ChatMessage", with(user.says(id), "messageId", id))
				got, err := user.next(patience)
				if err != nil {
					w.Fatal(err)
				}
				answer, err := parse(got)
				if err != nil {
					w.Fatal(err)
				}
				if answer["type"] == "Error" {
					want := obj{"code": "rate_limited", "message": aSentence, "messageId": id}
					if wrong := mismatch("", frame("Error", want), answer); wrong != "" {
						w.Fatalf("got %s: %s", got, wrong)
					}
					refused = id
				}
			}
			if refused == "" {
				w.Fatal("100 messages, one after the other, and no limit")
			}
			pass(800 * time.Millisecond)
			user.send("ChatMessage", with(user.says(refused), "messageId", refused))
			user.expect("ChatMessage", with(v.message("User", refused), "messageId", refused))
		},
	}), shared(unlimited, scenarios{
		"a rate of 0 switches the limit off": func(w *world) {
			_, user, support := w.couple()
			for i := range 100 { // of which 40 would be taken at once
				user.say(fmt.Sprint(i))
			}
			for i := range 100 {
				user.expectMessage("User", fmt.Sprint(i))
				support.expectMessage("User", fmt.Sprint(i))
			}
		},
	}))
}
