package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// site is a deployment as people reach it: two addresses, http://host:port.
type site struct {
	chat, lobby string
	client      *http.Client
}

func plain(chat, lobby string) *site {
	return &site{chat, lobby, &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// ready reports whether both servers say that they are ready.
func (s *site) ready() bool { return s.answers("/readyz") }

// answers reports whether both servers answer a path with 200.
func (s *site) answers(path string) bool {
	for _, base := range []string{s.chat, s.lobby} {
		res, err := s.client.Get(base + path)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return false
		}
	}
	return true
}

type visitor struct {
	UserID   string `json:"userId"`
	Username string `json:"username"`
	ChatID   string `json:"chatId"`
}

func (s *site) register(t *testing.T, name string) visitor {
	t.Helper()
	res, err := s.client.Get(s.chat + "/user/join/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var v visitor
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("register: %s %v", res.Status, err)
	}
	return v
}

// line is a WebSocket whose pings are answered.
type line struct {
	conn   *websocket.Conn
	frames chan message // closed when the socket has ended
	err    error        // why, then
}

// message is any frame of the protocol; those of a snapshot have no type.
type message struct {
	Type string
	Args struct {
		UserID, ChatID, SupportID, MessageID, Content, Code string
		Messages                                            []struct{ MessageID string }
	}
	UserID string
}

func (s *site) dial(ctx context.Context, base, path string) (*line, error) {
	attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(attempt, strings.Replace(base, "http", "ws", 1)+path, &websocket.DialOptions{HTTPClient: &http.Client{Transport: s.client.Transport}})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	l := &line{conn: conn, frames: make(chan message)}
	go func() {
		defer close(l.frames)
		for {
			_, data, err := conn.Read(ctx)
			if err == nil && string(data) == "ping" {
				_ = l.write(ctx, "pong:user") // the next read tells
				continue
			}
			var m message
			if err == nil {
				err = json.Unmarshal(data, &m)
			}
			if err != nil {
				l.err = err
				return
			}
			select {
			case l.frames <- m:
			case <-ctx.Done():
				l.err = ctx.Err()
				return
			}
		}
	}()
	return l, nil
}

// close ends the line; its context must end, too, unless frames is read to the end.
func (l *line) close() { _ = l.conn.CloseNow() }

func (l *line) write(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return l.conn.Write(ctx, websocket.MessageText, []byte(text))
}

func (l *line) send(ctx context.Context, kind string, args map[string]any) error {
	text, err := json.Marshal(map[string]any{"type": kind, "args": args})
	if err != nil {
		return err
	}
	return l.write(ctx, string(text))
}

// await reads until a frame of this type.
func (l *line) await(t *testing.T, kind string) message {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case m, ok := <-l.frames:
			if !ok {
				t.Fatalf("ended instead of %s: %v", kind, l.err)
			}
			if m.Type == kind {
				return m
			}
		case <-timeout:
			t.Fatalf("no %s", kind)
		}
	}
}

// converse is one conversation from registration to the last word, by way of the
// lobby.
func (s *site) converse(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dial := func(base, path string) *line {
		l, err := s.dial(ctx, base, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.close)
		return l
	}
	send := func(l *line, kind string, args map[string]any) {
		if err := l.send(ctx, kind, args); err != nil {
			t.Fatal(err)
		}
	}
	agent := dial(s.lobby, "/users")
	send(agent, "Load", map[string]any{"batch": true})
	agent.await(t, "PendingUsers")
	v := s.register(t, "Nika")
	user := dial(s.chat, "/chat/"+v.ChatID)
	send(user, "Join", map[string]any{"userId": v.UserID, "from": "User"})
	user.await(t, "UserJoined")
	for agent.await(t, "UserJoined").Args.UserID != v.UserID {
	}
	send(agent, "JoinUser", map[string]any{"userId": v.UserID, "chatId": v.ChatID, "username": v.Username})
	for agent.await(t, "RemoveUser").Args.UserID != v.UserID {
	}
	support := dial(s.chat, "/chat/"+v.ChatID)
	send(support, "Join", map[string]any{"userId": v.UserID, "supportUserName": "Vika", "from": "Support"})
	support.await(t, "SupportJoinedUser")
	user.await(t, "SupportJoinedUser")
	for _, from := range []string{"User", "Support"} {
		l := map[string]*line{"User": user, "Support": support}[from]
		send(l, "ChatMessage", map[string]any{"content": "from " + from, "from": from})
		for _, l := range []*line{user, support} {
			if m := l.await(t, "ChatMessage"); m.Args.Content != "from "+from {
				t.Fatalf("got %+v", m)
			}
		}
	}
}

// talk is a chat whose two parties write without end, whatever happens to the
// servers: they reconnect, and send again what has no receipt.
type talk struct {
	v             visitor
	user, support *party
}

// party is one side of a talk.
type party struct {
	site *site
	v    visitor
	from string

	mu        sync.Mutex
	supportID string
	seen      []string        // messages by their ids, in the order in which they came
	known     map[string]bool // the same
	sent      int
	quiet     bool // begins no further message
	broken    []string
}

// talks begins so many and returns what ends and counts them.
func (s *site) talks(t *testing.T, n int) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{t: t, site: s}
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for i := range n {
		v := s.register(t, fmt.Sprintf("user%d", i))
		tk := &talk{v: v}
		for _, p := range []**party{&tk.user, &tk.support} {
			*p = &party{site: s, v: v, from: "User", known: map[string]bool{}}
		}
		tk.support.from = "Support"
		c.talks = append(c.talks, tk)
		for _, p := range []*party{tk.user, tk.support} {
			running.Go(func() {
				for ctx.Err() == nil {
					p.session(ctx)
					select {
					case <-time.After(100 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			})
		}
	}
	return c
}

// session is the life of one socket.
func (p *party) session(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	l, err := p.site.dial(ctx, p.site.chat, "/chat/"+p.v.ChatID)
	if err != nil {
		cancel()
		return
	}
	defer func() {
		cancel()
		l.close()
		for range l.frames {
		}
	}()
	p.mu.Lock()
	join := map[string]any{"userId": p.v.UserID, "from": p.from, "features": []string{"messageId"}}
	if p.supportID != "" {
		join["supportId"] = p.supportID
	} else if p.from == "Support" {
		join["supportUserName"] = "Vika"
	}
	p.mu.Unlock()
	if l.send(ctx, "Join", join) != nil {
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	joined, begun := false, time.Now()
	var last time.Time // when the message that waits for its receipt was sent
	for {
		select {
		case m, ok := <-l.frames:
			if !ok {
				return
			}
			if m.Type == "Error" && !joined {
				return // and tries again, with a new socket
			}
			if m.Type == "Error" {
				last = time.Now().Add(-1500 * time.Millisecond) // again in half a second
			}
			joined = joined || m.Type == "UserJoined" || m.Type == "SupportJoinedUser" || m.Type == "ChatHistory"
			if p.take(m) {
				last = time.Time{}
			}
		case <-tick.C:
			if !joined && time.Since(begun) > 5*time.Second {
				return
			}
			if !joined || time.Since(last) < 2*time.Second {
				continue
			}
			if id := p.next(); id != "" {
				last = time.Now()
				if l.send(ctx, "ChatMessage", map[string]any{"content": "hello", "from": p.from, "messageId": id}) != nil {
					return
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// take notes what a frame shows, and reports whether it is the receipt that is
// waited for.
func (p *party) take(m message) (receipt bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.own()
	see := func(id string) {
		if !p.known[id] {
			p.known[id] = true
			p.seen = append(p.seen, id)
		}
		receipt = receipt || id == own
	}
	switch m.Type {
	case "SupportJoinedUser":
		p.supportID = m.Args.SupportID
	case "ChatMessage":
		see(m.Args.MessageID)
	case "ChatHistory":
		for _, m := range m.Args.Messages {
			see(m.MessageID)
		}
	case "ChatExpired":
		p.broken = append(p.broken, p.from+": the chat has expired")
	}
	return receipt
}

func (p *party) own() string { return fmt.Sprintf("%s-%d", p.from, p.sent) }

// next is the message to send now, empty if there is none.
func (p *party) next() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent == 0 || p.known[p.own()] {
		if p.quiet {
			return ""
		}
		p.sent++
	}
	return p.own()
}

// crowd is many talks.
type crowd struct {
	t     *testing.T
	site  *site
	talks []*talk
}

func (c *crowd) parties() []*party {
	var all []*party
	for _, tk := range c.talks {
		all = append(all, tk.user, tk.support)
	}
	return all
}

// flows waits until everybody has got one more message of their own and one of
// the other side.
func (c *crowd) flows(after string, within time.Duration) {
	c.t.Helper()
	begun := time.Now()
	goal := make([]int, 0, 2*len(c.talks))
	for _, p := range c.parties() {
		p.mu.Lock()
		goal = append(goal, p.sent+2) // one may be on its way
		p.mu.Unlock()
	}
	done := func() bool {
		for i, p := range c.parties() {
			p.mu.Lock()
			ok := p.known[fmt.Sprintf("%s-%d", p.from, goal[i])]
			p.mu.Unlock()
			if !ok {
				return false
			}
		}
		return true
	}
	for !done() {
		if time.Since(begun) > within {
			c.t.Fatalf("%s: messages do not flow within %v", after, within)
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.t.Logf("%s: messages flow after %v", after, time.Since(begun).Round(time.Millisecond))
}

// settle ends the talks and wants everything that anybody has seen, and has a
// receipt for, in the history: once, in one order.
func (c *crowd) settle() {
	c.t.Helper()
	for _, p := range c.parties() {
		p.mu.Lock()
		p.quiet = true
		p.mu.Unlock()
	}
	deadline := time.Now().Add(30 * time.Second)
	total := 0
	for _, tk := range c.talks {
		for {
			history := c.history(tk)
			if wrong := tk.compare(history); wrong == "" {
				total += len(history)
				break
			} else if time.Now().After(deadline) {
				c.t.Errorf("chat %s: %s", tk.v.ChatID, wrong)
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	c.t.Logf("%d chats, %d messages, none lost, doubled or out of order", len(c.talks), total)
}

// compare says what is wrong with a history, if anything.
func (tk *talk) compare(history []string) string {
	for _, p := range []*party{tk.user, tk.support} {
		p.mu.Lock()
		seen, sent, broken := slices.Clone(p.seen), p.sent, p.broken
		p.mu.Unlock()
		switch {
		case len(broken) > 0:
			return broken[0]
		case !slices.Equal(seen, history):
			return fmt.Sprintf("%s has seen %d messages, %v…, the history has %d, %v…", p.from, len(seen), seen[:min(5, len(seen))], len(history), history[:min(5, len(history))])
		}
		for n := 1; n <= sent; n++ {
			if !slices.Contains(history, fmt.Sprintf("%s-%d", p.from, n)) {
				return fmt.Sprintf("message %d of %s is lost", n, p.from)
			}
		}
	}
	return ""
}

// history is what a user gets who comes back.
func (c *crowd) history(tk *talk) []string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	l, err := c.site.dial(ctx, c.site.chat, "/chat/"+tk.v.ChatID)
	if err != nil {
		c.t.Fatal(err)
	}
	defer l.close()
	if err := l.send(ctx, "Join", map[string]any{"userId": tk.v.UserID, "from": "User", "features": []string{"messageId"}}); err != nil {
		c.t.Fatal(err)
	}
	var ids []string
	for _, m := range l.await(c.t, "ChatHistory").Args.Messages {
		ids = append(ids, m.MessageID)
	}
	return ids
}

// body reads what a URL answers.
func (s *site) body(t *testing.T, url string) (status int, text string) {
	t.Helper()
	res, err := s.client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}
