package faults_test

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// couple is a chat whose sides are on different servers and list presence.
type couple struct {
	visitor
	w           *world
	supportID   string
	user, agent *peer
}

func (w *world) couple(user, agent *server) *couple {
	w.Helper()
	c := &couple{visitor: w.register(user.addr, "Nika"), w: w}
	c.user = c.userOn(user)
	eventually(w.T, answerWithin, "the user has joined", func() bool { return len(c.user.all()) > 0 })
	c.agent = w.open(agent.addr, "/chat/"+c.ChatID, "pong:support", encode("Join", map[string]any{
		"userId": c.UserID, "supportUserName": "Vika", "from": "Support", "features": []string{"presence"},
	}))
	eventually(w.T, answerWithin, "both know of each other", func() bool {
		return slices.Equal(c.user.presence(), []string{"online"}) && c.agent.knows("online")
	})
	for _, text := range c.user.all() {
		var f struct{ Args struct{ SupportID string } }
		if json.Unmarshal([]byte(text), &f) == nil && f.Args.SupportID != "" {
			c.supportID = f.Args.SupportID
		}
	}
	return c
}

// userOn opens a tab of the user on a server.
func (c *couple) userOn(s *server) *peer {
	c.w.Helper()
	return c.w.open(s.addr, "/chat/"+c.ChatID, "pong:user", encode("Join", map[string]any{
		"userId": c.UserID, "supportId": c.supportID, "from": "User", "features": []string{"presence"},
	}))
}

// presence returns what a peer was told about the other side, in order.
func (p *peer) presence() (states []string) {
	for _, text := range p.all() {
		var f struct {
			Type string
			Args struct{ State string }
		}
		if json.Unmarshal([]byte(text), &f) == nil && f.Type == "Presence" {
			states = append(states, f.Args.State)
		}
	}
	return states
}

// knows reports whether this state was the last one that a peer was told.
func (p *peer) knows(state string) bool {
	states := p.presence()
	return len(states) > 0 && states[len(states)-1] == state
}

// tells waits until a peer is told a state, and fails if it comes late.
func (c *couple) tells(what string, p *peer, state string, since time.Time, within time.Duration) {
	c.w.Helper()
	if !poll(within-time.Since(since), func() bool { return p.knows(state) }) {
		c.w.Errorf("%s: not within %v told %s, but %v", what, within, state, p.presence())
		return
	}
	c.w.Logf("%s: %s is told after %v", what, state, time.Since(since).Round(time.Millisecond))
}

// saw checks that a peer was told exactly these states since the beginning.
func (c *couple) saw(what string, p *peer, states ...string) {
	c.w.Helper()
	if got := p.presence(); !slices.Equal(got, states) {
		c.w.Errorf("%s: told %v instead of %v", what, got, states)
	}
}

// aliveStill checks that the socket of a peer has stayed open.
func (c *couple) aliveStill(what string, p *peer) {
	c.w.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed != nil {
		c.w.Errorf("%s: a socket has ended: %v", what, p.closed)
	}
}

// A visitor's server dies, freezes, or loses its store or its broker; the visitor reloads
// the page and has several tabs. The agent, on another server, knows in time whether the
// visitor is there, and is told nothing else.
func TestPresence(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		links := map[string]*proxy{"store": startProxy(w.T, w.redis.Addr())}
		through := []string{links["store"].through("REDIS_URL", w.redis.URL())}
		if w.nats != nil {
			links["broker"] = startProxy(w.T, w.nats.addr)
			through = append(through, links["broker"].through("NATS_URL", w.nats.url()))
		}
		near, third := w.startChat(), w.startChat()
		far := w.startChat(through...)
		w.remove(far)

		w.reloads(far, third, near)
		w.threeTabs(far, third, near)
		for name, link := range links {
			w.cutOff("the link to the "+name+" is cut", far, near, link.cut, link.heal)
			w.cutOff("the link to the "+name+" stalls", far, near, link.stall, link.heal)
		}
		w.freezes(far, near)
		w.diesAndComesBack(far, third, near)
		w.alive(near, third)
	})
}

// reloads makes a user come back at once on another server. The agent does not notice it.
func (w *world) reloads(first, second, agent *server) {
	w.Helper()
	c := w.couple(first, agent)
	c.user.stop()
	wait(w.Context(), time.Second)
	c.user = c.userOn(second)
	wait(w.Context(), 4*time.Second)
	c.saw("a reload", c.agent, "online")
	c.saw("after a reload", c.user, "online")
	c.agent.stop()
	c.user.stop()
}

// threeTabs makes a user close one tab after the other.
func (w *world) threeTabs(first, second, agent *server) {
	w.Helper()
	c := w.couple(first, agent)
	tabs := []*peer{c.user, c.userOn(second), c.userOn(second)}
	for _, tab := range tabs {
		eventually(w.T, answerWithin, "a tab knows of the agent", func() bool { return tab.knows("online") })
	}
	for _, tab := range tabs[:2] {
		tab.stop()
		wait(w.Context(), 4*time.Second)
		c.saw("a tab of three is closed", c.agent, "online")
	}
	closed := time.Now()
	tabs[2].stop()
	c.tells("the last tab is closed", c.agent, "offline", closed, 5*time.Second)
	c.saw("three tabs", c.agent, "online", "offline")
	c.agent.stop()
}

// cutOff takes the store or the broker from the user's server for a while. The user counts
// as gone, and comes back with the server.
func (w *world) cutOff(what string, user, agent *server, harm, heal func()) {
	w.Helper()
	c := w.couple(user, agent)
	start := time.Now()
	harm()
	c.tells(what, c.agent, "offline", start, truthWithin)
	heal()
	healed := time.Now()
	c.tells(what+", and is back", c.agent, "online", healed, truthWithin)
	c.tells(what+", and is back", c.user, "online", healed, truthWithin)
	wait(w.Context(), truthWithin-time.Since(healed))
	c.saw(what, c.agent, "online", "offline", "online")
	if !c.user.knows("online") {
		w.Errorf("%s: the user was told at last: %v", what, c.user.presence())
	}
	c.aliveStill(what, c.user)
	c.aliveStill(what, c.agent)
	c.agent.stop()
	c.user.stop()
}

// freezes stops the user's server for 20 s.
func (w *world) freezes(user, agent *server) {
	w.Helper()
	c := w.couple(user, agent)
	start := time.Now()
	if err := user.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		w.Fatal(err)
	}
	c.tells("frozen", c.agent, "offline", start, truthWithin)
	wait(w.Context(), 20*time.Second-time.Since(start))
	if err := user.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		w.Fatal(err)
	}
	woken := time.Now()
	c.tells("thawed", c.agent, "online", woken, truthWithin)
	wait(w.Context(), 5*time.Second)
	c.saw("frozen", c.agent, "online", "offline", "online")
	if !c.user.knows("online") {
		w.Errorf("frozen: the user was told at last: %v", c.user.presence())
	}
	c.aliveStill("frozen", c.user)
	c.agent.stop()
	c.user.stop()
}

// diesAndComesBack kills the users' server. One user is back at once, which nobody notices.
// The other one comes back after the agent was told that they are offline.
func (w *world) diesAndComesBack(dying, other, agent *server) {
	w.Helper()
	soon, late := w.couple(dying, agent), w.couple(dying, agent)
	start := time.Now()
	w.kill(dying)
	soon.user = soon.userOn(other)
	late.tells("a server has died", late.agent, "offline", start, truthWithin)
	back := time.Now()
	late.user = late.userOn(other)
	late.tells("back on another server", late.agent, "online", back, 5*time.Second)
	late.tells("back on another server", late.user, "online", back, 5*time.Second)
	wait(w.Context(), truthWithin-time.Since(back))
	soon.saw("back at once", soon.agent, "online")
	soon.saw("back at once", soon.user, "online")
	late.saw("a server has died", late.agent, "online", "offline", "online")
	late.saw("back on another server", late.user, "online")
	if texts := strings.Join(late.agent.all(), ""); strings.Contains(texts, "ChatExpired") {
		w.Errorf("the agent was told: %s", texts)
	}
}
