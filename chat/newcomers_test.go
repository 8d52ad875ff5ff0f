package chat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/wire"
)

func withTokens(cfg *Config) { cfg.AgentsNeedToken = true }

func (s *Service) connectAgent(chatID, agent string) *peer {
	p := s.connect(chatID)
	p.session.agent = &wire.Identity{Subject: agent, Name: agent}
	return p
}

func (p *peer) joinAgent(u lobby.User) *peer {
	p.send(`{"type":"Join","args":{"userId":%q,"from":"Support"}}`, u.UserID)
	return p
}

// TestNewcomerWhoIsGone: if a chat was registered here and is no longer in the store, the first one
// to join is told that it is gone, and nobody has seen its user wait.
func TestNewcomerWhoIsGone(t *testing.T) {
	for _, role := range []string{"User", "Support", "Observer"} {
		t.Run(role, func(t *testing.T) {
			d := deploy(t, 1, time.Minute, 1)
			u := d.register()
			if err := d.client.Del(t.Context(), "chat:{"+u.ChatID+"}").Err(); err != nil {
				t.Fatal(err)
			}
			p := d.services[0].connect(u.ChatID)
			p.send(`{"type":"Join","args":{"userId":%q,"from":%q,"supportUserName":"Vika"}}`, u.UserID, role)
			if got := p.frames(`{"type":`); len(got) != 1 || !strings.HasPrefix(got[0], `{"type":"ChatExpired"`) || p.closedWith() != 1000 {
				t.Errorf("got %q and close %d", got, p.closedWith())
			}
			if n := d.client.Exists(t.Context(), "chat:{"+u.ChatID+"}").Val(); n != 0 {
				t.Error("the log has come back")
			}
			if n := d.client.LLen(t.Context(), "{lobby}:log").Val(); n != 0 || d.queued(u) {
				t.Errorf("%d events of the queue, in it: %v", n, d.queued(u))
			}
		})
	}
}

// TestNewcomerElsewhere: the server that has registered a chat does not always know what has
// happened to it on another server, because that one tells nobody.
func TestNewcomerElsewhere(t *testing.T) {
	d := deploy(t, 2, time.Minute, 1)
	here, there := d.services[0], d.services[1]
	events := func() (n int) {
		for _, event := range d.client.LRange(t.Context(), "{lobby}:log", 0, -1).Val() {
			if !strings.Contains(event, "UserChanged") {
				n++
			}
		}
		return n
	}

	u := d.register()
	there.connect(u.ChatID).joinUser(u).say(log.RoleUser, "hello")
	p := here.connect(u.ChatID).joinUser(u)
	if got := p.frames(`{"type":"ChatHistory"`); len(got) != 1 || !strings.Contains(got[0], "hello") {
		t.Errorf("a second tab got %q", p.got)
	}
	if n := events(); n != 1 || !d.queued(u) {
		t.Errorf("%d events of the queue for one user who waits; in it: %v", n, d.queued(u))
	}

	u = d.register()
	there.connect(u.ChatID).joinUser(u)
	there.connect(u.ChatID).joinSupport(u, "")
	before := events()
	p = here.connect(u.ChatID).joinUser(u)
	if len(p.frames(`{"type":"SupportJoinedUser"`)) != 1 || len(p.frames(`{"type":"ChatHistory"`)) != 1 {
		t.Errorf("a tab in a chat that has a support got %q", p.got)
	}
	if n := events(); n != before || d.queued(u) {
		t.Errorf("%d more events of the queue; in it: %v", n-before, d.queued(u))
	}

	u = d.register()
	there.connect(u.ChatID).joinUser(u)
	there.connect(u.ChatID).joinSupport(u, "")
	late := here.connect(u.ChatID).joinSupport(u, "")
	if len(late.frames(`{"type":"Error","args":{"code":"already_taken"`)) != 1 || late.closedWith() != 1008 {
		t.Errorf("a second support got %q and close %d", late.got, late.closedWith())
	}
}

// TestStrangerToANewcomer: a stranger learns nothing and changes nothing.
func TestStrangerToANewcomer(t *testing.T) {
	d := deploy(t, 1, time.Minute, 1)
	u := d.register()
	for _, role := range []string{"User", "Support"} {
		p := d.services[0].connect(u.ChatID)
		p.send(`{"type":"Join","args":{"userId":%q,"from":%q,"supportUserName":"Vika"}}`, strings.Repeat("0", 32), role)
		if got := p.frames(`{"type":"Error","args":{"code":"forbidden"`); len(got) != 1 || len(p.got) != 1 || p.closedWith() != 1008 {
			t.Errorf("%s got %q and close %d", role, p.got, p.closedWith())
		}
	}
	if n := len(d.logOf(u)); n != 1 || d.queued(u) || len(d.services[0].rooms) != 0 {
		t.Errorf("%d entries, in the queue: %v, %d rooms", n, d.queued(u), len(d.services[0].rooms))
	}
	if p := d.services[0].connect(u.ChatID).joinUser(u); len(p.frames(`{"type":"UserJoined"`)) != 1 {
		t.Errorf("then the user got %q", p.got)
	}
}

// TestJoiningUntold: a support joins at a server that has not heard what has happened to the chat.
// When it last heard of the chat, nobody had it.
func TestJoiningUntold(t *testing.T) {
	joined := func(support, agent string) log.Event {
		return log.Event{Kind: log.SupportJoined, ID: "e-" + support, SupportID: support, SupportName: agent, Agent: agent, Server: "other"}
	}
	for _, c := range []struct {
		name   string
		events []log.Event
		want   []string // how the frames begin
		code   int
	}{
		{"nothing", nil, []string{`SupportJoinedUser","args":{"supportId":"`}, 0},
		{"a message", []log.Event{{Kind: log.Messaged, ID: "m", From: log.RoleUser, Content: "hello"}},
			[]string{`SupportJoinedUser"`, `ChatHistory","args":{"messages":[{"userId"`}, 0},
		{"another agent", []log.Event{joined("one", "dodo")}, []string{`Error","args":{"code":"already_taken"`}, 1008},
		{"the agent, on another machine", []log.Event{joined("one", "vika")},
			[]string{`SupportJoinedUser","args":{"supportId":"one"`, `ChatHistory"`}, 0},
		{"closed", []log.Event{{Kind: log.Closed, From: log.RoleUser}}, []string{`ChatExpired"`}, 1000},
		{"released again", []log.Event{joined("one", "dodo"), {Kind: log.Released, From: log.RoleSupport, SupportID: "one"}},
			[]string{`SupportJoinedUser"`}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := deploy(t, 1, time.Minute, 1, withTokens)
			u := d.register()
			user := d.services[0].connect(u.ChatID).joinUser(u)
			for _, e := range c.events {
				d.write(u, e)
			}
			p := d.services[0].connectAgent(u.ChatID, "vika").joinAgent(u)
			p.mu.Lock()
			got := fmt.Sprintf("%q", p.got)
			fits := len(p.got) == len(c.want)
			for i := range min(len(p.got), len(c.want)) {
				fits = fits && strings.HasPrefix(p.got[i], `{"type":"`+c.want[i])
			}
			p.mu.Unlock()
			if !fits || p.closedWith() != c.code {
				t.Errorf("got %s and close %d, want %q and %d", got, p.closedWith(), c.want, c.code)
			}
			if c.code == 0 {
				p.say(log.RoleSupport, "here")
				eventually(t, "the user has it", func() bool {
					return len(user.frames(`{"type":"ChatMessage"`)) > 0 && strings.Contains(strings.Join(user.got, ""), `"here"`)
				})
				if d.queued(u) {
					t.Error("the user is in the queue still")
				}
			}
		})
	}
}

func TestNewcomersKept(t *testing.T) {
	n := newNewcomers(time.Hour)
	if n.keep != newcomersKept {
		t.Errorf("kept for %v", n.keep)
	}
	for i := range maxNewcomers + 10 {
		n.add(fmt.Sprint(i), now(), []log.Event{{Kind: log.Registered, ChatID: fmt.Sprint(i)}})
	}
	if len(n.byChat) != maxNewcomers || len(n.order) != maxNewcomers {
		t.Errorf("%d and %d are kept", len(n.byChat), len(n.order))
	}
	if n.log("9") != nil || len(n.log("10")) != 1 {
		t.Error("it is not the oldest that are forgotten")
	}
	n.joined("10")
	if n.log("10") != nil {
		t.Error("one that has joined is kept")
	}
	n = newNewcomers(2 * time.Second)
	n.add("late", now().add(-time.Second), []log.Event{{}})
	n.add("new", now().add(time.Hour), []log.Event{{}})
	if n.log("late") != nil || n.log("new") == nil {
		t.Error("half of a chat's life is too long")
	}
	n.forget()
	if len(n.byChat) != 1 || len(n.order) != 1 {
		t.Errorf("%d and %d are kept", len(n.byChat), len(n.order))
	}
}
