package backend_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// waiting registers users who join one after the other.
func (w *world) waiting(names ...string) ([]*visitor, []*client) {
	w.Helper()
	var visitors []*visitor
	var sockets []*client
	for _, name := range names {
		v := w.register(name)
		visitors = append(visitors, v)
		sockets = append(sockets, w.user(v))
	}
	return visitors, sockets
}

// agents opens n loaded agents, who all see these users.
func (w *world) agents(n int, waiting ...*visitor) []*client {
	w.Helper()
	var agents []*client
	for range n {
		agents = append(agents, w.loadedAgent(waiting...))
	}
	return agents
}

// each runs a step for every socket.
func each(all []*client, step func(*client)) {
	for _, c := range all {
		step(c)
	}
}

// loadBatch asks for the snapshot in one frame.
func (c *client) loadBatch(waiting ...*visitor) {
	c.t.Helper()
	c.send("Load", obj{"batch": true})
	c.expectUsers(waiting...)
}

// expectUsers wants the snapshot in one frame.
func (c *client) expectUsers(waiting ...*visitor) {
	c.t.Helper()
	users := []obj{}
	for _, v := range waiting {
		users = append(users, v.pending())
	}
	c.expect("PendingUsers", obj{"users": users})
}

func TestScenarioLobbyLoad(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, alone(nil, scenarios{
		"Load: the waiting users as bare objects, longest waiting first, then UserJoined": func(w *world) {
			users, _ := w.waiting("Nika", "Dodo", "Zaza", "Nika", "Ana María", "<&> 😀")
			agents := w.agents(4, users...)
			next, _ := w.waiting("Kiku", "Gela")
			for _, v := range next {
				each(agents, func(a *client) { a.expectAnnounced(v) })
			}
			agents = append(agents, w.loadedAgent(append(users, next...)...))
			each(agents, (*client).expectAnswersOnly)
		},
		"the order is that of the Joins, not of the registrations": func(w *world) {
			a, b, c := w.register("a"), w.register("b"), w.register("c")
			for _, v := range []*visitor{c, a, b} {
				w.user(v)
			}
			w.loadedAgent(c, a, b)
			w.loadedAgent(c, a, b)
		},
		"Load with nobody waiting: nothing; batch: an empty list": func(w *world) {
			bare, batch := w.loadedAgent(), w.agent()
			batch.loadBatch()
			w.register("registered only")
			users, _ := w.waiting("Nika")
			bare.expectAnnounced(users[0])
			batch.expectAnnounced(users[0])
			bare.expectAnswersOnly()
			batch.expectAnswersOnly()
		},
		"batch: the snapshot in one frame, then as with Load": func(w *world) {
			users, _ := w.waiting("Nika", "Dodo", "Zaza")
			agents := []*client{w.agent(), w.agent()}
			each(agents, func(a *client) { a.loadBatch(users...) })
			next, sockets := w.waiting("Kiku")
			each(agents, func(a *client) { a.expectAnnounced(next[0]) })
			w.support(next[0], "Vika")
			sockets[0].expectSupportJoined()
			each(agents, func(a *client) { a.expectRemoved(next[0]) })
			each(agents, (*client).expectAnswersOnly)
		},
		"batch may be false, and other fields are ignored": func(w *world) {
			users, _ := w.waiting("Nika")
			for _, args := range []any{obj{}, obj{"batch": false}, obj{"shoe": 43}, obj{"features": []string{"messageId"}}} {
				a := w.agent()
				a.strays()
				a.send("Load", args)
				a.expectObject(users[0].pending())
				a.expectAnswersOnly()
			}
		},
		"a second Load gives the snapshot again": func(w *world) {
			users, sockets := w.waiting("Nika", "Dodo")
			a := w.loadedAgent(users...)
			a.load(users...)
			a.loadBatch(users...)
			w.support(users[0], "Vika")
			sockets[0].expectSupportJoined()
			a.expectRemoved(users[0])
			a.load(users[1])
			more, _ := w.waiting("Zaza")
			a.expectAnnounced(more[0]) // once, though it has loaded four times
			a.expectAnswersOnly()
		},
		"who has not sent Load gets none of these": func(w *world) {
			agents := []*client{w.agent(), w.agent()}
			users, sockets := w.waiting("Nika", "Dodo")
			w.support(users[0], "Vika")
			sockets[0].expectSupportJoined()
			each(agents, (*client).expectNothing)
		},
		"wrong frames": func(w *world) {
			users, _ := w.waiting("Nika")
			a := w.agent()
			for _, bad := range []string{"", "[]", "null", "Load", `{"type":"Load"`, `{"type":"Load"}{}`, "\xff", `{"type":"\ud800"}`} {
				a.sendText(bad)
				a.expectError("bad_json")
			}
			if err := a.write(2, `{"type":"Load"}`); err != nil {
				w.Fatal(err)
			}
			a.expectError("bad_json")
			for _, bad := range []string{`{}`, `{"type":""}`, `{"type":7}`, `{"type":null}`, `{"Type":"Load"}`} {
				a.sendText(bad)
				a.expectError("bad_request")
			}
			for _, typ := range []string{"load", "LOAD", "Join", "ChatMessage", "RemoveUser", "UserJoined", "PendingUsers"} {
				a.send(typ, users[0].claim())
				a.expectError("unknown_type")
			}
			for _, args := range []any{"batch", 7, []any{}, obj{"batch": "true"}, obj{"batch": 1}} {
				a.send("Load", args)
				a.expectError("bad_request")
			}
			good := users[0].claim()
			for _, args := range []any{
				nil, 7, without(good, "userId"), without(good, "chatId"),
				with(good, "userId", ""), with(good, "chatId", ""), with(good, "userId", 7), with(good, "chatId", []any{}),
			} {
				a.send("JoinUser", args)
				a.expectError("bad_request")
			}
			a.load(users...) // and it stayed open
			a.sendText(strings.Repeat(" ", 65_536-len(`{"type":"X"}`)) + `{"type":"X"}`)
			a.expectError("unknown_type")
			_ = a.write(1, strings.Repeat(" ", 65_537))
			a.expectTooBig()
		},
		"no user is missed or doubled while users keep joining": func(w *world) {
			const agents, perAgent = 8, 6 // a Load after every few users
			visitors := make([]*visitor, agents*perAgent)
			for i := range visitors {
				visitors[i] = w.register(fmt.Sprint("user ", i))
			}
			sockets := make([]*client, len(visitors))
			for i, v := range visitors {
				sockets[i] = w.chat(v)
			}
			lobby := make([]*client, agents)
			for i := range lobby {
				lobby[i] = w.agent()
			}
			joined := make(chan struct{}, len(visitors)) // by one more each
			var errands []func() error
			for part := range 3 { // several users join at once
				errands = append(errands, func() error {
					for i := part; i < len(visitors); i += 3 {
						if err := sockets[i].write(1, text(frame("Join", visitors[i].asUser()))); err != nil {
							return err
						}
						if _, err := sockets[i].take(frame("UserJoined", visitors[i].pending())); err != nil {
							return err
						}
						joined <- struct{}{}
					}
					return nil
				})
			}
			errands = append(errands, func() error {
				for _, a := range lobby {
					if err := a.write(1, `{"type":"Load"}`); err != nil {
						return err
					}
					for range perAgent {
						select {
						case <-joined:
						case <-time.After(patience):
							return errors.New("the users stopped joining")
						}
					}
				}
				return nil
			})
			for _, a := range lobby {
				errands = append(errands, func() error { return a.meets(visitors) })
			}
			w.errand(errands...)
			each(lobby, (*client).expectNothing)
		},
	}))
}

// meets reads until the agent has seen each of the visitors exactly once:
// first the snapshot, then the announcements.
func (c *client) meets(visitors []*visitor) error {
	missing := map[string]*visitor{}
	for _, v := range visitors {
		missing[v.userID] = v
	}
	live := false
	for len(missing) > 0 {
		got, err := c.next(patience)
		if err != nil {
			return fmt.Errorf("%s: %d users missing: %w", c.name, len(missing), err)
		}
		object, err := parse(got)
		if err != nil {
			return err
		}
		if args, ok := object["args"].(obj); ok && object["type"] == "UserJoined" {
			live, object = true, args
		} else if live {
			return fmt.Errorf("%s: %s after the snapshot", c.name, got)
		}
		id, _ := object["userId"].(string)
		v, ok := missing[id]
		if !ok {
			return fmt.Errorf("%s: nobody expected %s, or not again", c.name, got)
		}
		if wrong := mismatch("", v.pending(), object); wrong != "" {
			return fmt.Errorf("%s: %s: %s", c.name, got, wrong)
		}
		delete(missing, id)
	}
	return nil
}
