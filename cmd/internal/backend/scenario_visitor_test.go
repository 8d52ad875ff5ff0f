package backend_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// A visitor is a registered user, with what the scenario knows about their chat.
type visitor struct {
	username, userID, chatID string
	supportID, supportName   string // once somebody has joined
}

// A reply is an HTTP response with its whole body.
type reply struct {
	status int
	header http.Header
	body   string
}

// get requests a path unchanged: it is not cleaned, and escapes stay.
func (w *world) get(addr, path string, headers ...string) reply {
	w.Helper()
	return w.request(http.MethodGet, addr, path, headers...)
}

func (w *world) request(method, addr, path string, headers ...string) reply {
	w.Helper()
	request := &http.Request{
		Method: method,
		URL:    &url.URL{Scheme: "http", Host: addr, Opaque: path},
		Header: http.Header{},
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := plainHTTP.Do(request)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

// register registers a user with this name. The answer has exactly the protocol's fields.
func (w *world) register(name string) *visitor {
	w.Helper()
	return w.registerAt(w.nextChat(), url.PathEscape(name), name)
}

func (w *world) registerAt(addr, escaped, name string) *visitor {
	w.Helper()
	r := w.get(addr, "/user/join/"+escaped)
	if r.status != http.StatusOK {
		w.Fatalf("register %q: %d %s", escaped, r.status, r.body)
	}
	got, err := parse(r.body)
	if err != nil {
		w.Fatal(err)
	}
	if wrong := mismatch("", obj{"username": name, "userId": anyID, "chatId": anyID}, got); wrong != "" {
		w.Fatalf("register %q: %s: %s", escaped, r.body, wrong)
	}
	return &visitor{username: name, userID: got["userId"].(string), chatID: got["chatId"].(string)}
}

// asUser and asSupport return the args of a first Join.
func (v *visitor) asUser() obj {
	return obj{"userId": v.userID, "username": v.username, "from": "User"}
}

func (v *visitor) asSupport(name string) obj {
	return obj{"userId": v.userID, "username": v.username, "supportUserName": name, "from": "Support"}
}

// with and without return a changed copy of the args.
func with(args obj, key string, value any) obj {
	args = maps.Clone(args)
	args[key] = value
	return args
}

func without(args obj, key string) obj {
	args = maps.Clone(args)
	delete(args, key)
	return args
}

// pending returns the visitor as the lobby and UserJoined show them.
func (v *visitor) pending() obj {
	return obj{"username": v.username, "userId": v.userID, "chatId": v.chatID}
}

// supported returns the args of SupportJoinedUser.
func (v *visitor) supported() obj {
	return obj{
		"supportId": v.supportID, "supportUserName": v.supportName,
		"username": v.username, "userId": v.userID, "chatId": v.chatID,
	}
}

// message returns the args of a ChatMessage as the server sends it now.
func (v *visitor) message(from, content string) obj {
	return obj{
		"userId": v.userID, "supportId": v.supportID, "content": content,
		"timestamp": aTimestamp, "from": from,
	}
}

// chat opens a socket of the visitor's chat on the next server, without a Join.
func (w *world) chat(v *visitor) *client {
	w.Helper()
	return w.chatAt(w.nextChat(), v)
}

func (w *world) chatAt(addr string, v *visitor) *client {
	w.Helper()
	return w.chatAs(addr, v, "pong:user")
}

func (w *world) chatAs(addr string, v *visitor, pong string) *client {
	w.Helper()
	c := w.dial(addr, "/chat/"+v.chatID, pong)
	c.v = v
	return c
}

// user opens a socket and joins as the visitor, for the first time.
func (w *world) user(v *visitor) *client {
	w.Helper()
	return w.userAt(w.nextChat(), v)
}

func (w *world) userAt(addr string, v *visitor) *client {
	w.Helper()
	c := w.chatAt(addr, v)
	c.joinsAsUser()
	return c
}

func (c *client) joinsAsUser() {
	c.t.Helper()
	c.role = "User"
	c.send("Join", c.v.asUser())
	c.expect("UserJoined", c.v.pending())
}

// support opens a socket and joins as the chat's first support.
func (w *world) support(v *visitor, name string) *client {
	w.Helper()
	return w.supportAt(w.nextChat(), v, name)
}

func (w *world) supportAt(addr string, v *visitor, name string) *client {
	w.Helper()
	c := w.chatAs(addr, v, "pong:support")
	c.joinsAsSupport(name)
	return c
}

func (c *client) joinsAsSupport(name string) {
	c.t.Helper()
	c.send("Join", c.v.asSupport(name))
	c.isSupport(name)
}

// isSupport reads the answer to a Join as Support.
func (c *client) isSupport(name string) {
	c.t.Helper()
	c.role = "Support"
	c.v.supportName = name
	got := c.expect("SupportJoinedUser", with(c.v.supported(), "supportId", anyID))
	c.v.supportID = got["supportId"].(string)
}

// rejoins sends the Join of a reloaded page, which knows the supportId.
func (c *client) rejoins(role string) {
	c.t.Helper()
	c.role = role
	args := with(c.v.asUser(), "supportId", c.v.supportID)
	if role == "Support" {
		args = with(c.v.asSupport(c.v.supportName), "supportId", c.v.supportID)
	}
	c.send("Join", args)
}

// couple opens a chat of a visitor and a support, on different servers if there are two.
func (w *world) couple() (v *visitor, user, support *client) {
	w.Helper()
	v = w.register("Nika")
	user = w.user(v)
	support = w.support(v, "Vika")
	user.expectSupportJoined()
	return v, user, support
}

// coupleSeenBy is couple while loaded agents watch, so that afterwards every lobby knows
// that the visitor does not wait.
func (w *world) coupleSeenBy(agents []*client) (v *visitor, user, support *client) {
	w.Helper()
	v = w.register("Nika")
	user = w.user(v)
	each(agents, func(a *client) { a.expectAnnounced(v) })
	support = w.support(v, "Vika")
	user.expectSupportJoined()
	each(agents, func(a *client) { a.expectRemoved(v) })
	return v, user, support
}

// expectSupportJoined reads the news that a support has joined.
func (c *client) expectSupportJoined() {
	c.t.Helper()
	c.expect("SupportJoinedUser", c.v.supported())
}

// says returns the args of a ChatMessage as the participant sends it.
func (c *client) says(content any) obj {
	return obj{"userId": c.v.userID, "supportId": c.v.supportID, "content": content, "from": c.role}
}

// say sends a ChatMessage.
func (c *client) say(content string) {
	c.t.Helper()
	c.send("ChatMessage", c.says(content))
}

// expectMessage reads a ChatMessage and returns it.
func (c *client) expectMessage(from, content string) obj {
	c.t.Helper()
	return c.expect("ChatMessage", c.v.message(from, content))
}

// said sends a message, and expects it on all these sockets and on the sender's own. All
// copies must be the same. It returns the message.
func (c *client) said(content string, to ...*client) obj {
	c.t.Helper()
	c.say(content)
	first := c.expectMessage(c.role, content)
	for _, other := range to {
		other.expect("ChatMessage", first)
	}
	return first
}

// expectHistory reads a history of exactly these messages.
func (c *client) expectHistory(messages ...obj) {
	c.t.Helper()
	c.expect("ChatHistory", obj{"messages": messages})
}

// expectRefusal reads an Error that names the message it refuses.
func (c *client) expectRefusal(code, messageID string) {
	c.t.Helper()
	c.expect("Error", obj{"code": code, "message": aSentence, "messageId": messageID})
}

// agent opens a lobby socket on the next server, without Load.
func (w *world) agent() *client {
	w.Helper()
	return w.dial(w.nextLobby(), "/users", "pong:support")
}

// loadedAgent opens a lobby socket that has loaded exactly these waiting users, in this
// order.
func (w *world) loadedAgent(waiting ...*visitor) *client {
	w.Helper()
	c := w.agent()
	c.load(waiting...)
	return c
}

// load requests the snapshot, which must be these users.
func (c *client) load(waiting ...*visitor) {
	c.t.Helper()
	c.send("Load", nil)
	for _, v := range waiting {
		c.expectObject(v.pending())
	}
	c.expectAnswersOnly()
}

// claim returns the args of JoinUser.
func (v *visitor) claim() obj { return v.pending() }

// expectRemoved checks that the visitor leaves the agent's list.
func (c *client) expectRemoved(v *visitor) {
	c.t.Helper()
	c.expect("RemoveUser", obj{"userId": v.userID})
}

// expectAnnounced checks that the visitor comes into the agent's list.
func (c *client) expectAnnounced(v *visitor) {
	c.t.Helper()
	c.expect("UserJoined", v.pending())
}

// A channel has what an ordinary subscriber of `users` hears.
type channel struct {
	w    *world
	mu   sync.Mutex
	says []string
}

// usersChannel starts to listen.
func (w *world) usersChannel() *channel {
	w.Helper()
	ch := &channel{w: w}
	if w.natsURL != "" {
		ch.hearNATS()
		return ch
	}
	subscription := w.redis().Subscribe(context.Background(), "users")
	if _, err := subscription.Receive(context.Background()); err != nil {
		w.Fatal(err)
	}
	messages := subscription.Channel(redis.WithChannelSize(10_000))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range messages {
			ch.hear(m.Payload)
		}
	}()
	w.Cleanup(func() {
		_ = subscription.Close()
		<-done
	})
	return ch
}

func (ch *channel) hear(payload string) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.says = append(ch.says, payload)
}

// about returns what was published about one visitor.
func (ch *channel) about(v *visitor) []string {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	var about []string
	for _, payload := range ch.says {
		if strings.Contains(payload, v.userID) {
			about = append(about, payload)
		}
	}
	return about
}

// expectAbout checks that exactly these messages about the visitor were published, in this
// order.
func (ch *channel) expectAbout(v *visitor, want ...obj) {
	ch.w.Helper()
	ch.w.eventually("as many messages on the users channel", func() bool { return len(ch.about(v)) >= len(want) })
	got := ch.about(v)
	if len(got) != len(want) {
		ch.w.Fatalf("the users channel said %q, want %d messages", got, len(want))
	}
	for i, payload := range got {
		var object any
		if err := json.Unmarshal([]byte(payload), &object); err != nil {
			ch.w.Fatalf("the users channel said %q: %v", payload, err)
		}
		if wrong := mismatch("", want[i], object); wrong != "" {
			ch.w.Fatalf("the users channel said %q: %s", payload, wrong)
		}
	}
}
