package faults_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// heldUp is how long the queue may need to tell an agent anything while all is well.
const heldUp = 2 * time.Second

// One of two lobbies stands still for a while, goes on, and is killed in the end. The agents
// of the other one see visitors come and go as if nothing had happened; where visitors are
// offered to agents in turn, those of the other lobby are asked next.
func TestLobbyStandsStill(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		const offerTTL = 2 * time.Second
		modes := map[string][]string{"lists": nil, "offers": {"ASSIGN=round_robin", "OFFER_TTL=" + offerTTL.String()}}
		if form() == "short" {
			delete(modes, "offers")
		}
		for mode, env := range modes {
			chats, still, lobby := w.startChat(env...), w.startLobby(env...), w.startLobby(env...)
			features := []string{"agents"}
			if mode == "offers" {
				features = append(features, "offers")
			}
			load := func(name string) string {
				return encode("Load", map[string]any{"batch": true, "features": features, "supportUserName": name})
			}
			vika, dodo := w.open(still.addr, "/users", "pong:support", load("Vika")), w.open(lobby.addr, "/users", "pong:support", load("Dodo"))
			eventually(w.T, 10*time.Second, "both are there", func() bool { return len(shownAgents(dodo)) == 2 })
			visits := func(when string) {
				var slowest time.Duration
				deadline := time.Now().Add(s.fault / 2)
				for n := 0; n < 3 || time.Now().Before(deadline); n++ {
					came := time.Now()
					v := w.wait(chats, fmt.Sprintf("Visitor%d", n))
					if mode == "offers" {
						// Vika is asked in turn, wherever she is, and only then Dodo.
						slowest = max(slowest, w.until(came, offerTTL+2*heldUp, when+": Dodo is asked", func() bool { return dodo.saw("Offer", v.UserID) }))
					} else {
						slowest = max(slowest, w.until(came, heldUp, when+": Dodo sees a visitor", func() bool { return dodo.saw("UserJoined", v.UserID) }))
					}
					taken := time.Now()
					agent := w.take(chats, v)
					if mode == "lists" {
						slowest = max(slowest, w.until(taken, heldUp, when+": Dodo sees that a visitor is taken", func() bool { return dodo.saw("RemoveUser", v.UserID) }))
					}
					agent.stop()
					v.stop()
				}
				w.Logf("%s, %s: Dodo was told after %v at most", mode, when, slowest.Round(time.Millisecond))
			}
			visits("before")
			if err := still.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				w.Fatal(err)
			}
			visits("while Vika's lobby stands still")
			if err := still.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				w.Fatal(err)
			}
			eventually(w.T, 10*time.Second, "it is ready again", func() bool { return still.status("/readyz") == http.StatusOK })
			visits("after that")
			if mode == "lists" {
				eventually(w.T, heldUp, "Vika sees nobody any more", func() bool { return vika.sees() == 0 })
			}
			w.kill(still)
			visits("when it is dead")
			w.alive(chats, lobby)
		}
	})
}

// until waits for something that must come within a time since it was caused, and returns
// how long that took.
func (w *world) until(since time.Time, within time.Duration, what string, holds func() bool) time.Duration {
	w.Helper()
	eventually(w.T, within-time.Since(since), what, holds)
	return time.Since(since)
}

// sees counts the users whom an agent's page shows.
func (p *peer) sees() (n int) {
	for _, text := range p.all() {
		switch {
		case strings.HasPrefix(text, `{"type":"UserJoined"`):
			n++
		case strings.HasPrefix(text, `{"type":"RemoveUser"`):
			n--
		}
	}
	return n
}

// saw reports whether a frame of this type has come that is about a user.
func (p *peer) saw(kind, userID string) bool {
	return slices.ContainsFunc(p.all(), func(text string) bool {
		var f struct{ Type string }
		return strings.Contains(text, userID) && json.Unmarshal([]byte(text), &f) == nil && f.Type == kind
	})
}
