package faults_test

import (
	"testing"
	"time"
)

// Every server is stopped and replaced, one after the other. Clients that obey the close
// code 1001 lose nothing, and waiting users keep their places.
func TestRollingRestart(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		chats := []*server{w.startChat(), w.startChat(), w.startChat()}
		lobbies := []*server{w.startLobby(), w.startLobby()}
		tr := w.talk(s)
		waiting := tr.queue(10)
		agents := w.watchers(waiting)

		before := time.Now()
		var slowest time.Duration
		for i := range chats {
			wait(w.Context(), time.Second) // of traffic between two
			stopped := time.Now()
			slowest = max(slowest, w.stop(chats[i]))
			chats[i] = w.startChat()
			tr.flows("after a restart", 10*time.Second)
			tr.converges("after a restart", stopped, stopped)
		}
		after := time.Now()
		w.correct(agents)
		for i, a := range agents {
			if got := a.events(); got > 0 {
				w.Errorf("agent %d got %d events, though everybody waits as before: %q", i, got, a.all()[1:])
			}
		}
		for i := range lobbies {
			slowest = max(slowest, w.stop(lobbies[i]))
			w.lobbies[i] = w.start(build(w.T, "livesupport/cmd/subscriber"))
			w.shows("after a lobby's restart", 5*time.Second, []watcher{w.watch(w.lobbies[i])}, waiting)
		}
		w.Logf("delivery while %d chat servers were restarted: %s; the slowest of all took %v to end", len(chats), percentiles(tr.delays(before, after)), slowest.Round(time.Millisecond))
		total := tr.settle(15 * time.Second)
		if total.closed[1001] == 0 || total.closed[-1] > 0 {
			w.Errorf("sockets closed by code: %v; want all with 1001", total.closed)
		}
		w.alive(append(chats, w.lobbies...)...)
	})
}
