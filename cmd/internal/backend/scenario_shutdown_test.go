package backend_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

// expectGone wants nobody to listen there any more.
func (w *world) expectGone(addr string) {
	w.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err == nil {
		_ = conn.Close()
		w.Fatalf("%s still accepts connections", addr)
	}
}

func TestScenarioShutdown(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, alone(nil, scenarios{
		"every socket gets 1001": func(w *world) {
			agents := w.agents(2)
			v, user, support := w.coupleSeenBy(agents)
			waiting, sockets := w.waiting("Dodo")
			each(agents, func(a *client) { a.expectAnnounced(waiting[0]) })
			sockets = append(sockets, user, support, w.chat(v), w.chat(w.register("fresh")), w.agent(), w.agent())
			sockets = append(sockets, agents...)
			deaf := w.rawDial(w.nextChat(), "/chat/"+v.chatID) // reads nothing, answers nothing
			start := time.Now()
			for _, b := range w.backends {
				stop(w.T, b)
			}
			if took := time.Since(start); took > 10*time.Second {
				w.Fatalf("took %v", took)
			}
			each(sockets, func(c *client) { c.expectClose(1001) })
			deaf.expectEnd(1001)
			for _, addr := range slices.Concat(w.chats, w.lobbies) {
				w.expectGone(addr)
			}
		},
		"connections without a request, or with half of one, do not hold it up": func(w *world) {
			for _, addr := range slices.Concat(w.chats, w.lobbies) {
				for _, begun := range []string{"", "GET / HTTP/1.1\r\nHost:"} {
					conn, err := net.DialTimeout("tcp", addr, patience)
					if err != nil {
						w.Fatal(err)
					}
					w.Cleanup(func() { _ = conn.Close() })
					if _, err := conn.Write([]byte(begun)); err != nil {
						w.Fatal(err)
					}
				}
				w.get(addr, "/healthz") // which comes after them
			}
			for _, b := range w.backends {
				stop(w.T, b)
			}
		},
	}))
}

// split is alone, but only where there are two servers of each kind.
func split(tune tuning, all scenarios) group {
	return func(t *testing.T, p place) func() {
		if !p.split {
			return func() {}
		}
		return alone(tune, all)(t, p)
	}
}

func TestScenarioOneServerLess(t *testing.T) {
	t.Parallel()
	const grace = 2 * time.Second
	inEveryPlace(t, split(func(c *backend.Config) { c.LeaveGrace = grace }, scenarios{
		"a chat goes on at the other chat server": func(w *world) {
			v := w.register("Nika")
			user := w.userAt(w.chats[0], v)
			support := w.supportAt(w.chats[1], v, "Vika")
			user.expectSupportJoined()
			one := user.said("hello", support)
			stop(w.T, w.backends[0])
			user.expectClose(1001)
			two := support.said("are you still there?")
			user = w.chatAt(w.chats[1], v)
			user.rejoins("User")
			user.expectHistory(one, two)
			user.said("yes", support)
			support.said("good", user)
		},
		"a user who waits keeps the place at the other chat server": func(w *world) {
			nika, dodo := w.register("Nika"), w.register("Dodo")
			user := w.userAt(w.chats[0], nika)
			w.userAt(w.chats[1], dodo)
			agents := w.agents(2, nika, dodo)
			stop(w.T, w.backends[0])
			user.expectClose(1001)
			w.userAt(w.chats[1], nika)
			agents[0].expectNothingFor(grace + grace/2)
			agents[1].expectAnswersOnly()
			agents[0].load(nika, dodo)
		},
		"a user who does not come back leaves the queue": func(w *world) {
			nika, dodo := w.register("Nika"), w.register("Dodo")
			user := w.userAt(w.chats[0], nika)
			w.userAt(w.chats[1], dodo)
			agents := w.agents(2, nika, dodo)
			stop(w.T, w.backends[0])
			user.expectClose(1001)
			each(agents, func(a *client) { a.expectRemoved(nika) })
			agents[1].load(dodo)
		},
		"the lobby goes on at the other lobby": func(w *world) {
			users, sockets := w.waiting("Nika", "Dodo")
			agents := w.agents(2, users...)
			agents[0].send("JoinUser", users[0].claim())
			each(agents, func(a *client) { a.expectRemoved(users[0]) })
			stop(w.T, w.backends[2])
			agents[0].expectClose(1001)
			w.supportAt(w.chats[0], users[0], "Vika") // the winner goes on with the chat
			sockets[0].expectSupportJoined()
			agents[1].send("JoinUser", users[0].claim())
			agents[1].expectError("already_taken")
			agents[1].load(users[1])
			more, _ := w.waiting("Zaza")
			agents[1].expectAnnounced(more[0])
		},
	}))
}
