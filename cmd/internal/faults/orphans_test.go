package faults_test

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// supportGrace is SUPPORT_GRACE in these tests.
const supportGrace = 4 * time.Second

// left returns the reason that a user was told for the loss of a support, "" if none.
func (p *peer) left() string {
	for _, text := range p.all() {
		var f struct {
			Type string
			Args struct{ Reason string }
		}
		if json.Unmarshal([]byte(text), &f) == nil && f.Type == "SupportLeft" {
			return f.Args.Reason
		}
	}
	return ""
}

func (p *peer) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// handedOver is a chat whose user and agent are on these servers. Both list the feature
// that tells when the agent has left.
func (w *world) handedOver(user, agent *server) *couple {
	w.Helper()
	c := &couple{visitor: w.register(user.addr, "Nika"), w: w}
	features := []string{"transfer"}
	c.user = w.open(user.addr, "/chat/"+c.ChatID, "pong:user", encode("Join", map[string]any{"userId": c.UserID, "from": "User", "features": features}))
	eventually(w.T, answerWithin, "the user has joined", func() bool { return len(c.user.all()) > 0 })
	c.agent = w.open(agent.addr, "/chat/"+c.ChatID, "pong:support", encode("Join", map[string]any{
		"userId": c.UserID, "supportUserName": "Vika", "from": "Support", "features": features,
	}))
	eventually(w.T, answerWithin, "both have joined", func() bool {
		return strings.Contains(strings.Join(c.user.all(), ""), "SupportJoinedUser")
	})
	return c
}

// An agent's server dies, freezes, or loses its store or its broker. Users on another
// server get another agent in time, and the first agent can no longer write when they come
// back. While the store or the broker is away for all servers, no agent counts as lost.
func TestOrphans(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		grace := "SUPPORT_GRACE=" + supportGrace.String()
		near, third := w.startChat(grace), w.startChat(grace)
		w.startLobby()
		agents := w.watchers(nil)
		type harmed struct {
			what       string
			far        *server
			harm, heal func() // heal is nil where nothing comes back
			chat       *couple
		}
		var all []*harmed
		add := func(what string, far *server, harm, heal func()) {
			w.remove(far)
			all = append(all, &harmed{what, far, harm, heal, w.handedOver(near, far)})
		}
		for _, how := range []string{"cut", "stalls"} {
			link := startProxy(w.T, w.redis.Addr())
			add("the link to the store "+how, w.startChat(grace, link.through("REDIS_URL", w.redis.URL())), map[string]func(){"cut": link.cut, "stalls": link.stall}[how], link.heal)
		}
		if w.nats != nil {
			link := startProxy(w.T, w.nats.addr)
			add("the link to the broker is cut", w.startChat(grace, link.through("NATS_URL", w.nats.url())), link.cut, link.heal)
		}
		signal := func(s *server, sig os.Signal) func() {
			return func() {
				if err := s.cmd.Process.Signal(sig); err != nil {
					w.Error(err)
				}
			}
		}
		frozen, killed, stopped := w.startChat(grace), w.startChat(grace), w.startChat(grace)
		add("frozen", frozen, signal(frozen, syscall.SIGSTOP), signal(frozen, syscall.SIGCONT))
		add("killed", killed, signal(killed, syscall.SIGKILL), nil)
		add("stopped", stopped, signal(stopped, syscall.SIGTERM), nil)
		untouched := w.handedOver(near, third)

		start := time.Now()
		for _, h := range all {
			h.harm()
		}
		var waiting []waiter
		for _, h := range all {
			if !poll(supportGrace+30*time.Second-time.Since(start), func() bool { return h.chat.user.left() == "lost" }) {
				w.Errorf("%s: the user is told %q", h.what, h.chat.user.left())
				continue
			}
			took := time.Since(start)
			w.Logf("%s: lost after %v", h.what, took.Round(time.Millisecond))
			if took < supportGrace {
				w.Errorf("%s: lost after %v", h.what, took)
			}
			waiting = append(waiting, waiter{visitor: h.chat.visitor})
		}
		w.shows("when they are lost", 10*time.Second, agents, waiting)
		for _, h := range all {
			if h.heal == nil {
				continue
			}
			h.heal()
			_ = h.chat.agent.send(encode("ChatMessage", map[string]any{"content": "stale", "from": "Support"}))
		}
		for _, h := range all {
			if h.heal != nil && !poll(20*time.Second, func() bool { return websocket.CloseStatus(h.chat.agent.end()) == websocket.StatusNormalClosure }) {
				w.Errorf("%s: the agent's socket has ended by %v", h.what, h.chat.agent.end())
			}
			if texts := strings.Join(h.chat.user.all(), ""); strings.Contains(texts, "stale") {
				w.Errorf("%s: the user was shown %s", h.what, texts)
			}
		}
		w.shows("when all is well", 10*time.Second, agents, waiting)
		w.correct(agents)

		if w.nats != nil {
			w.nats.end(syscall.SIGTERM)
			wait(w.Context(), supportGrace+serverLost)
			w.nats.start()
		} else {
			w.redis.Kill()
			wait(w.Context(), supportGrace+serverLost)
			w.restartRedis()
		}
		wait(w.Context(), supportGrace+5*time.Second)
		if reason := untouched.user.left(); reason != "" {
			w.Errorf("a support who was there all the time is said to have left: %s", reason)
		}
		untouched.aliveStill("an outage for all", untouched.agent)
		w.alive(near, third)
	})
}

// serverLost is the longest time until a lost server is noticed.
const serverLost = 14 * time.Second
