package faults_test

import (
	"testing"
	"time"
)

// Redis dies and comes back with its append-only file. Our servers stay, and so
// do all sockets.
func TestKillRedis(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		chats, lobbies := []*server{w.startChat(), w.startChat()}, []*server{w.startLobby(), w.startLobby()}
		tr := w.talk(s)
		waiting := w.waiters(10, chats...)
		agents := w.watchers(waiting)
		for _, outage := range s.outages {
			killed := time.Now()
			w.redis.Kill()
			wait(w.Context(), outage)
			w.restartRedis()
			back := time.Now()
			tr.flows("within 5 s of the store's return", 5*time.Second)
			w.shows("within 5 s of the store's return", 5*time.Second-time.Since(back), agents, waiting)
			w.Logf("away for %v, all well after another %v", outage, time.Since(back).Round(time.Millisecond))
			tr.converges("after the store's return", killed, back)
			tr.steady("after the store's return")
		}
		total := tr.settle(15 * time.Second)
		if total.refusals == 0 {
			w.Error("nobody was told that the store was away")
		}
		if want := 2 * len(tr.chats); total.sockets != want {
			w.Errorf("%d sockets for %d participants: the outage has cost some", total.sockets, want)
		}
		w.correct(agents)
		w.alive(append(chats, lobbies...)...)
	})
}
