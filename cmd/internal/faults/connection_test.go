package faults_test

import (
	"fmt"
	"testing"
	"time"
)

// The connection of one chat server and one lobby to the broker is cut, stalls, is slow or
// narrow, while the other servers keep theirs.
func TestConnectionFaults(t *testing.T) {
	begin(t)
	t.Parallel()
	for name, fault := range map[string]struct {
		harm func(*proxy)
		down bool // the servers must notice
		pace time.Duration
	}{
		"cut":    {(*proxy).cut, true, 0},
		"stall":  {(*proxy).stall, true, 0},
		"slow":   {(*proxy).slow, false, 2 * time.Second},
		"narrow": {(*proxy).narrow, false, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			eachBroker(t, func(w *world, s scale) {
				// A socket has one message under way at a time: over a slow connection,
				// people must not write faster than that.
				s.interval = max(s.interval, fault.pace)
				w.connectionFault(s, fault.harm, fault.down)
			})
		})
	}
}

func (w *world) connectionFault(s scale, harm func(*proxy), down bool) {
	p, through := w.brokerProxy()
	near, nearLobby := w.startChat(), w.startLobby()
	far, farLobby := w.startChat(through), w.startLobby(through)
	tr := w.talk(s)
	waiting := w.waiters(8, near, far)
	agents := w.watchers(waiting)

	harm(p)
	start := time.Now()
	if down {
		for _, cut := range []*server{far, farLobby} {
			eventually(w.T, 5*time.Second-time.Since(start), cut.name+" notices", func() bool { return w.metrics(cut)["livesupport_broker_up"] == 0 })
		}
	}
	// Meanwhile users come and are taken, on the server that is well.
	taken := w.take(near, waiting[0]) // who waits at the near server
	for i := range 3 {
		waiting = append(waiting, w.wait(near, fmt.Sprintf("Late%d", i)))
	}
	waiting = waiting[1:]
	wait(w.Context(), s.fault-time.Since(start))
	p.heal()
	back := time.Now()
	tr.flows("within 10 s of the end of the fault", 10*time.Second)
	w.shows("within 10 s of the end of the fault", 10*time.Second-time.Since(back), agents, waiting)
	w.Logf("faulty for %v, all well after another %v", back.Sub(start).Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
	tr.converges("after the fault", start, back)
	total := tr.settle(20 * time.Second)
	if want := 2 * len(tr.chats); total.sockets != want {
		w.Errorf("%d sockets for %d participants: the fault has cost some", total.sockets, want)
	}
	w.correct(agents)
	for i, a := range agents {
		if got, want := a.events(), 4; got != want {
			w.Errorf("agent %d got %d events instead of %d: %q", i, got, want, a.all()[1:])
		}
	}
	taken.stop()
	w.alive(near, far, nearLobby, farLobby)
}

// brokerProxy starts a proxy to the broker, and returns the variable that makes a server
// use it.
func (w *world) brokerProxy() (*proxy, string) {
	w.Helper()
	if w.nats != nil {
		p := startProxy(w.T, w.nats.addr)
		return p, p.through("NATS_URL", w.nats.url())
	}
	p := startProxy(w.T, w.redis.Addr())
	return p, p.through("REDIS_URL", w.redis.URL())
}

// take makes a support join the chat of a waiting user.
func (w *world) take(s *server, v waiter) *peer {
	w.Helper()
	p := w.open(s.addr, "/chat/"+v.ChatID, "pong:support", encode("Join", map[string]any{"userId": v.UserID, "supportUserName": "Vika", "from": "Support"}))
	eventually(w.T, 2*time.Second, "a support has joined", func() bool { return len(p.all()) > 0 })
	return p
}
