package faults_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Chats are closed at the moment when they expire. Everybody is told the same end.
func TestCloseAgainstExpiry(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		const ttl = 2 * time.Second
		env := fmt.Sprintf("CHAT_TTL=%v", ttl)
		near, far := w.startChat(env), w.startChat(env)
		closed := make([]bool, s.chats)
		var all errgroup
		for i := range closed {
			all.Go(func() (err error) {
				closed[i], err = w.closesAtExpiry(near, far, ttl, i)
				return err
			})
		}
		if err := all.Wait(); err != nil {
			w.Error(err)
		}
		n := 0
		for _, c := range closed {
			if c {
				n++
			}
		}
		w.Logf("%s: of %d chats %d were ended and %d expired", w.Name(), len(closed), n, len(closed)-n)
		w.alive(near, far)
	})
}

func (w *world) closesAtExpiry(near, far *server, ttl time.Duration, i int) (closed bool, err error) {
	v, err := register(near.addr, "Nika")
	if err != nil {
		return false, err
	}
	open := func(s *server, args map[string]any, answer string) (p *peer) {
		if err != nil {
			return nil
		}
		args["userId"] = v.UserID
		if p, err = openPeer(s.addr, "/chat/"+v.ChatID, "pong:"+strings.ToLower(args["from"].(string)), encode("Join", args)); err != nil {
			return nil
		}
		if !poll(answerWithin, func() bool { return p.has(answer) }) {
			err = fmt.Errorf("%s: no answer to %v, but %v", v.ChatID, args, p.all())
		}
		return p
	}
	features := []string{"close"}
	user := open(near, map[string]any{"from": "User", "features": features}, "UserJoined")
	agent := open(far, map[string]any{"from": "Support", "supportUserName": "Vika", "features": features}, "SupportJoinedUser")
	tab := open(far, map[string]any{"from": "User"}, "SupportJoinedUser")
	for _, p := range []*peer{user, agent, tab} {
		if p != nil {
			defer p.stop()
		}
	}
	if err != nil {
		return false, err
	}
	wait(w.Context(), ttl-50*time.Millisecond+rand.N(60*time.Millisecond)) // since the last Join
	for _, p := range [][]*peer{{user}, {agent}, {user, agent}}[i%3] {
		_ = p.send(encode("CloseChat", map[string]any{})) // it may be too late
	}
	for name, p := range map[string]*peer{"user": user, "agent": agent, "tab": tab} {
		if !poll(2*ttl+5*time.Second, func() bool { return p.has("ChatExpired") && p.ended() }) {
			return false, fmt.Errorf("%s: the %s's socket is open still, after %v", v.ChatID, name, p.all())
		}
	}
	if user.has("ChatClosed") != agent.has("ChatClosed") || tab.has("ChatClosed") {
		return false, fmt.Errorf("%s: the user was told %v, the agent %v, the tab %v", v.ChatID, user.all(), agent.all(), tab.all())
	}
	return user.has("ChatClosed"), nil
}

// has reports whether a peer has received a frame of this type.
func (p *peer) has(kind string) bool {
	return strings.Contains(strings.Join(p.all(), "\n"), `{"type":"`+kind+`"`)
}

// ended reports whether the server has closed the peer's socket because the chat is over.
func (p *peer) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return websocket.CloseStatus(p.closed) == websocket.StatusNormalClosure
}
