package backend_test

import (
	"strconv"
	"strings"

	"github.com/coder/websocket"
)

// A tokenRow is a request, or a message, and what becomes of it.
type tokenRow struct {
	what string
	// prepare says what the row is tried on: with Vika's claim, or her Join.
	prepare func(w *world, vika agent) *visitor
	// try makes the request, with or without a token, and returns what came: an
	// HTTP status, or the types and codes of the frames and the close code.
	try func(w *world, v *visitor, show websocket.DialOptions) string
	// What must come without a token, with one that is not good, with that of
	// another agent, and with Vika's.
	none, bad, other, valid string
}

// tokenTable is every route and message with every kind of token. Vika's own comes
// last: what was refused before has changed nothing.
func tokenTable(good signer, bad map[string]string) func(*world) {
	return func(w *world) {
		vika, ada := agent{w, good.sign(claimsOf("vika", "Vika"))}, agent{w, good.sign(claimsOf("ada", "Ada"))}
		for _, row := range tokenRows {
			for how, show := range shown {
				v := row.prepare(w, vika)
				check := func(token, want string, options websocket.DialOptions) {
					if got := row.try(w, v, options); got != want {
						w.Errorf("%s, %s by %s: %q, want %q", row.what, token, how, got, want)
					}
				}
				check("no token", row.none, websocket.DialOptions{})
				for _, what := range []string{
					"wrong signature", "alg none", "wrong alg", "expired", "not yet valid", "wrong audience", "wrong issuer",
				} {
					token, ok := bad[what]
					if !ok {
						w.Fatalf("no token with %s", what)
					}
					check(what, row.bad, show(token))
				}
				check("other agent", row.other, show(ada.token))
				check("valid", row.valid, show(vika.token))
			}
		}
	}
}

var tokenRows = []tokenRow{
	{"GET / on the chat server's port", nobody, plainly("/", true), "200", "200", "200", "200"},
	{"GET / on the lobby's port: the console asks for a token", nobody, console, "200 token", "200 token", "200 token", "200 token"},
	{"GET /widget.js", nobody, plainly("/widget.js", true), "200", "200", "200", "200"},
	{"GET /healthz on the chat server's port", nobody, plainly("/healthz", true), "200", "200", "200", "200"},
	{"GET /healthz on the lobby's port", nobody, plainly("/healthz", false), "200", "200", "200", "200"},
	{"GET /readyz on the lobby's port", nobody, plainly("/readyz", false), "200", "200", "200", "200"},
	{"GET /metrics on the lobby's port", nobody, plainly("/metrics", false), "200", "200", "200", "200"},
	{"GET /user/join/Nika", nobody, plainly("/user/join/Nika", true), "200", "200", "200", "200"},
	{"GET /users without an upgrade", nobody, plainly("/users", false), "401", "401", "426", "426"},
	{"GET /users on the chat server's port", nobody, plainly("/users", true), "404", "404", "404", "404"},
	{"GET /chat/{chatId} without an upgrade", nobody, plainly(someChat, true), "426", "401", "426", "426"},
	{"GET /chat/{chatId} on the lobby's port", nobody, plainly(someChat, false), "404", "404", "404", "404"},
	{"GET /api/v1/chats", nobody, plainly("/api/v1/chats", false), "401", "401", "200", "200"},
	{"GET /api/v1/chats/{chatId}", nobody, plainly("/api/v1/chats/"+strings.Repeat("a", 32), false), "401", "401", "404", "404"},
	{"GET /api/v1/chats/{chatId}/transcript", nobody, plainly("/api/v1/chats/"+strings.Repeat("a", 32)+"/transcript", false), "401", "401", "404", "404"},
	{"GET /api/v1/chats/{chatId}/earlier", nobody, plainly("/api/v1/chats/"+strings.Repeat("a", 32)+"/earlier", false), "401", "401", "404", "404"},
	{"DELETE /api/v1/chats/{chatId}", nobody, askingBy("DELETE", "/api/v1/chats/"+strings.Repeat("a", 32)), "401", "401", "403", "403"},
	{"DELETE /api/v1/users/{sub}", nobody, askingBy("DELETE", "/api/v1/users/ana"), "401", "401", "403", "403"},
	{"GET /api/v1/messages", nobody, plainly("/api/v1/messages", false), "401", "401", "200", "200"},
	{"POST /api/v1/messages/{messageId}/done", nobody, askingBy("POST", "/api/v1/messages/"+strings.Repeat("a", 32)+"/done"), "401", "401", "404", "404"},
	{"GET /api/v1/stats", nobody, plainly("/api/v1/stats", false), "401", "401", "200", "200"},
	{"GET /api/v1/chats on the chat server's port", nobody, plainly("/api/v1/chats", true), "404", "404", "404", "404"},
	{"the upgrade of /users", nobody, inLobby(), "401", "401", "", ""},
	{"Load", nobody, func(w *world, v *visitor, show websocket.DialOptions) string {
		// Then come other scenarios' users.
		first, _, _ := strings.Cut(inLobby(func(*visitor) obj { return frame("Load", obj{"batch": true}) })(w, v, show), " ")
		return first
	}, "401", "401", "PendingUsers", "PendingUsers"},
	{"JoinUser", claimed, inLobby(func(v *visitor) obj { return frame("JoinUser", v.claim()) }),
		"401", "401", "RemoveUser already_taken", "RemoveUser"},
	{"Load that lists what a team can", nobody, func(w *world, v *visitor, show websocket.DialOptions) string {
		args := obj{"batch": true, "features": []string{"agents", "offers", "chats", "details"}}
		first, _, _ := strings.Cut(inLobby(func(*visitor) obj { return frame("Load", args) })(w, v, show), " ")
		return first
	}, "401", "401", "PendingUsers", "PendingUsers"},
	{"Load by the name of the claim's agent", nobody, func(w *world, v *visitor, show websocket.DialOptions) string {
		args := obj{"batch": true, "supportUserName": "Vika"}
		first, _, _ := strings.Cut(inLobby(func(*visitor) obj { return frame("Load", args) })(w, v, show), " ")
		return first
	}, "401", "401", "forbidden", "PendingUsers"},
	{"Status", nobody, inLobby(func(*visitor) obj { return frame("Status", obj{"status": "away", "capacity": 1}) }), "401", "401", "", ""},
	{"Status without a capacity", nobody, inLobby(func(*visitor) obj { return frame("Status", obj{"status": "away"}) }), "401", "401", "bad_request", "bad_request"},
	{"Decline of what is not offered", claimed, inLobby(func(v *visitor) obj { return frame("Decline", v.claim()) }), "401", "401", "", ""},
	{"Decline of nobody", nobody, inLobby(func(*visitor) obj { return frame("Decline", nil) }), "401", "401", "bad_request", "bad_request"},
	{"the upgrade of /chat/{chatId}", nobody, inChat(), "", "401", "", ""},
	{"what agents say of themselves, to the chat server", nobody, inChat(
		func(*visitor) obj { return frame("Status", obj{"status": "away", "capacity": 1}) }, func(v *visitor) obj { return frame("Decline", v.claim()) }),
		"unknown_type unknown_type", "401", "unknown_type unknown_type", "unknown_type unknown_type"},
	{"Join as Support", claimed, inChat(joins("Support", "")),
		"unauthorized 1008", "401", "already_taken 1008", "SupportJoinedUser"},
	{"Join as Support, by the name of the claim's agent", claimed, inChat(joins("Support", "Vika")),
		"unauthorized 1008", "401", "forbidden 1008", "SupportJoinedUser"},
	{"Join as Support, by a name that is nobody's", claimed, inChat(joins("Support", "Boss")),
		"unauthorized 1008", "401", "forbidden 1008", "forbidden 1008"},
	{"Join as Support of a chat that has one", joined, inChat(joins("Support", "")),
		"unauthorized 1008", "401", "already_taken 1008", "SupportJoinedUser ChatHistory"},
	{"Join as Support again", joined, inChat(rejoins("Support")),
		"unauthorized 1008", "401", "forbidden 1008", "ChatHistory"},
	{"ChatMessage as Support", joined, inChat(rejoins("Support"), writes("Support")),
		"unauthorized 1008", "401", "forbidden 1008", "ChatHistory ChatMessage"},
	{"ChatMessage as Support, without a Join", joined, inChat(writes("Support")),
		"not_joined", "401", "not_joined", "not_joined"},
	{"ChatMessage as Support, after a Join as User", joined, inChat(rejoins("User"), writes("Support")),
		"ChatHistory forbidden", "401", "ChatHistory forbidden", "ChatHistory forbidden"},
	{"Join as Support, after a Join as User", claimed, inChat(joins("User", ""), joins("Support", "Vika")),
		"UserJoined bad_request", "401", "UserJoined bad_request", "UserJoined bad_request"},
	{"Transfer as Support", joined, inChat(rejoins("Support"), transfers),
		"unauthorized 1008", "401", "forbidden 1008", "ChatHistory 1000"},
	{"Transfer as User", joined, inChat(rejoins("User"), transfers),
		"ChatHistory forbidden", "401", "ChatHistory forbidden", "ChatHistory forbidden"},
	{"Transfer as Observer, by one who is no supervisor", joined, inChat(joins("Observer", ""), transfers),
		"unauthorized 1008", "401", "forbidden 1008", "forbidden 1008"},
	{"Transfer without a Join", joined, inChat(transfers), "not_joined", "401", "not_joined", "not_joined"},
	{"Join as Support again, by one who has given the chat on", given, inChat(rejoins("Support")),
		"unauthorized 1008", "401", "already_taken 1008", "already_taken 1008"},
	{"what agents send to the lobby, to the chat server", claimed, inChat(
		func(*visitor) obj { return frame("Load", nil) }, func(v *visitor) obj { return frame("JoinUser", v.claim()) }),
		"unknown_type unknown_type", "401", "unknown_type unknown_type", "unknown_type unknown_type"},
	{"Join and ChatMessage as User", claimed, inChat(joins("User", ""), func(v *visitor) obj {
		return frame("ChatMessage", obj{"content": "hey", "from": "User", "messageId": "once"})
	}, joins("User", "")), "UserJoined ChatMessage bad_request", "401", "UserJoined ChatHistory ChatMessage bad_request", "UserJoined ChatHistory ChatMessage bad_request"},
}

var someChat = "/chat/" + strings.Repeat("a", 32)

func nobody(w *world, _ agent) *visitor { return &visitor{chatID: strings.Repeat("a", 32)} }

func claimed(w *world, vika agent) *visitor {
	v := w.register("Nika")
	w.user(v).ignoreRest()
	desk := vika.lobby()
	desk.send("JoinUser", v.claim())
	desk.expectRemoved(v)
	return v
}

func joined(w *world, vika agent) *visitor {
	v := claimed(w, vika)
	c := vika.chat(v)
	c.joinsAsSupport("Vika")
	c.ignoreRest()
	return v
}

func given(w *world, vika agent) *visitor {
	v := joined(w, vika)
	c := vika.chat(v)
	c.rejoins("Support")
	c.expectHistory()
	c.send("Transfer", obj{"to": "queue"})
	c.expectClose(1000)
	return v
}

func transfers(*visitor) obj { return frame("Transfer", obj{"to": "queue"}) }

// plainly asks the chat server or the lobby for a path.
func plainly(path string, chat bool) func(*world, *visitor, websocket.DialOptions) string {
	return func(w *world, _ *visitor, show websocket.DialOptions) string {
		return strconv.Itoa(w.ask(path, chat, show).status)
	}
}

// askingBy asks the lobby for a path by a method.
func askingBy(method, path string) func(*world, *visitor, websocket.DialOptions) string {
	return func(w *world, _ *visitor, show websocket.DialOptions) string {
		return strconv.Itoa(w.askBy(method, path, false, show).status)
	}
}

func console(w *world, _ *visitor, show websocket.DialOptions) string {
	r := w.ask("/", false, show)
	if strings.Contains(r.body, `data-sign-in="token"`) {
		return strconv.Itoa(r.status) + " token"
	}
	return strconv.Itoa(r.status)
}

func (w *world) ask(path string, chat bool, show websocket.DialOptions) reply {
	w.Helper()
	return w.askBy("GET", path, chat, show)
}

func (w *world) askBy(method, path string, chat bool, show websocket.DialOptions) reply {
	w.Helper()
	var headers []string
	for name := range show.HTTPHeader {
		headers = append(headers, name, show.HTTPHeader.Get(name))
	}
	if len(show.Subprotocols) > 0 {
		headers = append(headers, "Sec-WebSocket-Protocol", strings.Join(show.Subprotocols, ", "))
	}
	addr := w.nextLobby()
	if chat {
		addr = w.nextChat()
	}
	return w.request(method, addr, path, headers...)
}

// inChat and inLobby open a socket and send frames.
func inChat(frames ...func(*visitor) obj) func(*world, *visitor, websocket.DialOptions) string {
	return func(w *world, v *visitor, show websocket.DialOptions) string {
		return w.answers(w.nextChat(), "/chat/"+v.chatID, show, v, frames)
	}
}

func inLobby(frames ...func(*visitor) obj) func(*world, *visitor, websocket.DialOptions) string {
	return func(w *world, v *visitor, show websocket.DialOptions) string {
		return w.answers(w.nextLobby(), "/users", show, v, frames)
	}
}

func (w *world) answers(addr, path string, show websocket.DialOptions, v *visitor, frames []func(*visitor) obj) string {
	w.Helper()
	c, status := w.open(addr, path, "pong:support", show)
	if c == nil {
		return strconv.Itoa(status)
	}
	defer c.conn.CloseNow()
	c.ignoreRest()
	for _, one := range frames {
		_ = c.write(websocket.MessageText, text(one(v))) // the server may have closed it
	}
	_ = c.write(websocket.MessageText, "the end")
	var came []string
	for range 100 {
		text, err := c.next(patience)
		if code := websocket.CloseStatus(err); code > 0 {
			return strings.Join(append(came, strconv.Itoa(int(code))), " ")
		}
		if err != nil {
			w.Fatalf("%s: after %q: %v", c.name, came, err)
		}
		got, err := parse(text)
		if err != nil {
			w.Fatal(err)
		}
		word, _ := got["type"].(string)
		if args, ok := got["args"].(obj); ok && word == "Error" {
			word, _ = args["code"].(string)
		}
		if word == "bad_json" { // the end has been answered, and so all before it
			return strings.Join(came, " ")
		}
		came = append(came, word)
	}
	w.Fatalf("%s: no end of %q", c.name, came)
	return ""
}

func joins(role, name string) func(*visitor) obj {
	return func(v *visitor) obj {
		args := with(v.asUser(), "from", role)
		if name != "" {
			args["supportUserName"] = name
		}
		return frame("Join", args)
	}
}

func rejoins(role string) func(*visitor) obj {
	return func(v *visitor) obj {
		return frame("Join", with(with(v.asUser(), "from", role), "supportId", v.supportID))
	}
}

func writes(role string) func(*visitor) obj {
	return func(v *visitor) obj {
		return frame("ChatMessage", obj{"userId": v.userID, "supportId": v.supportID, "content": "hey", "from": role})
	}
}
