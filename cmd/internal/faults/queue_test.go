package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// peer is a socket that stays open, answers the heartbeat, and keeps what it receives.
type peer struct {
	send   func(text string) error
	strays func() // it sends what no schema has: see apitest.Socket
	stop   func()

	mu     sync.Mutex
	frames []string
	closed error
}

// open connects a peer; it ends with the test.
func (w *world) open(addr, path, pong string, first string) *peer {
	w.Helper()
	p, err := openPeer(addr, path, pong, first)
	if err != nil {
		w.Fatalf("%s: %v", path, err)
	}
	w.Cleanup(p.stop)
	return p
}

// openPeer connects and sends a first message.
func openPeer(addr, path, pong string, first string) (*peer, error) {
	return openPeerAs(addr, path, pong, first, "")
}

// openPeerAs is openPeer with the token of an agent, if there is one.
func openPeerAs(addr, path, pong, first, token string) (*peer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	conn, err := dialAs(ctx, addr, path, token)
	if err == nil {
		err = write(ctx, conn, first)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	frames, stop := listen(conn)
	p := &peer{send: func(text string) error { return write(ctx, conn, text) }, strays: contractOf(conn).Strays}
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			select {
			case f := <-frames:
				if f.text == "ping" {
					_ = write(ctx, conn, pong) // a failure shows at the next read
					continue
				}
				p.mu.Lock()
				if p.closed = f.err; f.err == nil {
					p.frames = append(p.frames, f.text)
				}
				p.mu.Unlock()
				if f.err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	p.stop = func() {
		cancel()
		ended.Wait()
		stop()
	}
	return p, nil
}

func (p *peer) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.frames)
}

// waiter is a visitor who waits for an agent.
type waiter struct {
	visitor
	*peer
}

// wait registers a visitor who waits on this server.
func (w *world) wait(s *server, name string) waiter {
	w.Helper()
	v := w.register(s.addr, name)
	return waiter{v, w.open(s.addr, "/chat/"+v.ChatID, "pong:user", encode("Join", map[string]any{"userId": v.UserID, "username": name, "from": "User"}))}
}

// watcher is an agent's list, kept from what one socket has brought.
type watcher struct{ *peer }

func (w *world) watch(s *server) watcher {
	w.Helper()
	return watcher{w.open(s.addr, "/users", "pong:support", encode("Load", map[string]any{"batch": true}))}
}

// list returns the user ids that the agent sees, in order, and what was wrong.
func (a watcher) list() (users []string, faults []string) {
	a.mu.Lock()
	if a.closed != nil {
		faults = append(faults, a.closed.Error())
	}
	a.mu.Unlock()
	for _, text := range a.all() {
		var f struct {
			Type string
			Args struct {
				UserID string
				Users  []visitor
			}
		}
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			faults = append(faults, text)
		}
		switch at := slices.Index(users, f.Args.UserID); f.Type {
		case "PendingUsers":
			users = nil
			for _, u := range f.Args.Users {
				users = append(users, u.UserID)
			}
		case "UserJoined":
			if at >= 0 {
				faults = append(faults, "announced twice: "+text)
			}
			users = append(users, f.Args.UserID)
		case "RemoveUser":
			if at < 0 {
				faults = append(faults, "removed twice: "+text)
				continue
			}
			users = slices.Delete(users, at, at+1)
		default:
			faults = append(faults, "unexpected: "+text)
		}
	}
	return users, faults
}

// events returns the number of events after the snapshot.
func (a watcher) events() int { return max(0, len(a.all())-1) }

// shows waits until the lists of all agents, and of a new agent at each of their lobbies,
// have exactly these waiting users.
func (w *world) shows(when string, within time.Duration, agents []watcher, waiting []waiter) {
	w.Helper()
	want := make([]string, len(waiting))
	for i, v := range waiting {
		want[i] = v.UserID
	}
	slices.Sort(want)
	same := func(a watcher) bool {
		users, _ := a.list()
		return slices.Equal(slices.Sorted(slices.Values(users)), want)
	}
	start := time.Now()
	for i, a := range agents {
		if !poll(within-time.Since(start), func() bool { return same(a) }) {
			users, faults := a.list()
			w.Errorf("%s, not within %v: agent %d sees %d users %v; %d wait", when, within, i, len(users), faults, len(want))
		}
	}
	for _, lobby := range w.lobbies {
		fresh := w.watch(lobby)
		if !poll(5*time.Second, func() bool { return same(fresh) }) {
			users, faults := fresh.list()
			w.Errorf("%s, not within 5 s: a new agent sees %d users %v; %d wait", when, len(users), faults, len(want))
		}
		fresh.stop()
	}
}

// watchers starts an agent at every lobby while exactly these users wait.
func (w *world) watchers(waiting []waiter) (agents []watcher) {
	w.Helper()
	w.shows("at the beginning", 5*time.Second, nil, waiting)
	for _, lobby := range w.lobbies {
		agents = append(agents, w.watch(lobby))
	}
	w.shows("at the beginning", 5*time.Second, agents, waiting)
	return agents
}

// correct checks that the agents' sockets have stayed open and have received nothing twice.
func (w *world) correct(agents []watcher) {
	w.Helper()
	for i, a := range agents {
		if users, faults := a.list(); len(faults) > 0 {
			w.Errorf("agent %d, who sees %d users: %v", i, len(users), faults)
		}
	}
}

func (w *world) waiters(n int, servers ...*server) []waiter {
	w.Helper()
	var out []waiter
	for i := range n {
		out = append(out, w.wait(servers[i%len(servers)], fmt.Sprintf("Waiting%d", i)))
	}
	return out
}
