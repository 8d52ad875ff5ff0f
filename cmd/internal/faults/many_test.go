package faults_test

import (
	"slices"
	"testing"
	"time"
)

// One of eight chat servers ends in order, another one dies, and each is replaced. Chats whose sockets
// are on the others notice nothing: no socket of theirs ends, nothing is lost, and messages take as long
// as before.
func TestOneOfManyServers(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		var servers []*server
		for range 8 {
			servers = append(servers, w.startChat())
		}
		w.startLobby()
		tr := w.talk(s)
		const phase = 4 * time.Second
		measured := func(what string, others []*conversation, during func()) []time.Duration {
			began := time.Now()
			during()
			wait(w.Context(), phase-time.Since(began))
			delays := (&traffic{chats: others}).delays(began, time.Now())
			w.Logf("%s, chats on other servers: %d messages, %s", what, len(delays), percentiles(delays))
			return delays
		}
		// Who has a socket on the two that will go is known now: nobody moves without a reason.
		ending, dying := servers[0], servers[1]
		others := slices.DeleteFunc(slices.Clone(tr.chats), func(c *conversation) bool {
			return slices.ContainsFunc([]*participant{c.user, c.agent}, func(p *participant) bool {
				return p.server() == ending.addr || p.server() == dying.addr
			})
		})
		sockets := socketsOf(others)
		quiet := measured("before", others, func() {})
		moved := time.Now()
		disturbed := append(
			measured("while one ends and one starts", others, func() { w.stop(ending); servers[0] = w.startChat() }),
			measured("while one dies and one starts", others, func() { w.kill(dying); servers[1] = w.startChat() })...)
		tr.flows("after that", 10*time.Second)
		tr.converges("after that", moved, time.Now())
		if now := socketsOf(others); now != sockets {
			w.Errorf("%d sockets of chats on other servers have become %d", sockets, now)
		}
		before, meanwhile := percentile(quiet, 99), percentile(disturbed, 99)
		w.Logf("%s: p99 of %d other chats %v before, %v meanwhile", w.Name(), len(others), before, meanwhile)
		if len(others) < s.chats/4 || len(disturbed) == 0 {
			w.Fatalf("only %d of %d chats are on other servers", len(others), s.chats)
		}
		// Two processes start on the same machine meanwhile; a pause of the chats would be seconds.
		if meanwhile > before+250*time.Millisecond {
			w.Errorf("a p99 of %v has become %v", before, meanwhile)
		}
		tr.settle(15 * time.Second)
		w.alive(servers...)
	})
}

// socketsOf counts the sockets that the sides of chats have opened so far.
func socketsOf(chats []*conversation) (n int) {
	for _, c := range chats {
		for _, p := range []*participant{c.user, c.agent} {
			p.mu.Lock()
			n += p.sockets
			p.mu.Unlock()
		}
	}
	return n
}
