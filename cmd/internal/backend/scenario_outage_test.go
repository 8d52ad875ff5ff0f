package backend_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"livesupport/broker/brokertest"
	"livesupport/cmd/internal/backend"
)

// refusal and recovery are the protocol's time limits while a store is away.
const (
	refusal  = 5 * time.Second
	recovery = 10 * time.Second
	slack    = 500 * time.Millisecond // for a machine that is busy with tests
)

// refused sends these messages at the same time. They must be refused within the protocol's
// time limit.
func (w *world) refused(requests ...request) {
	w.Helper()
	var errands []func() error
	for _, r := range requests {
		errands = append(errands, func() error {
			start := time.Now()
			if err := r.c.write(websocket.MessageText, text(frame(r.typ, r.args))); err != nil {
				return err
			}
			got, err := r.c.next(refusal + time.Second)
			if err != nil {
				return fmt.Errorf("%s while the store is away: %w", r.typ, err)
			}
			object, err := parse(got)
			if err != nil {
				return err
			}
			if wrong := mismatch("", frame("Error", obj{"code": "unavailable", "message": aSentence}), object); wrong != "" {
				return fmt.Errorf("%s while the store is away: got %s: %s", r.typ, got, wrong)
			}
			if took := time.Since(start); took > refusal+slack {
				return fmt.Errorf("%s was refused after %v", r.typ, took)
			}
			return nil
		})
	}
	w.errand(errands...)
}

// A request is a message that needs the store.
type request struct {
	c    *client
	typ  string
	args any
}

// isAway checks what every server says while the store is away.
func (w *world) isAway() {
	w.Helper()
	for _, addr := range slices.Concat(w.chats, w.lobbies) {
		w.eventually("not ready", func() bool { return w.get(addr, "/readyz").status == http.StatusServiceUnavailable })
		w.expectFailure(w.get(addr, "/readyz"), http.StatusServiceUnavailable, "unavailable")
		if r := w.get(addr, "/healthz"); r.status != http.StatusOK {
			w.Fatalf("healthz: %d %s", r.status, r.body)
		}
	}
	var requests []func() error
	for _, addr := range w.chats {
		for _, path := range []string{"/user/join/Nika", "/status"} {
			requests = append(requests, func() error {
				start := time.Now()
				response, err := plainHTTP.Get("http://" + addr + path)
				if err != nil {
					return err
				}
				defer response.Body.Close()
				body, err := io.ReadAll(response.Body)
				if err != nil {
					return err
				}
				if took := time.Since(start); took > refusal+slack {
					return fmt.Errorf("%s was refused after %v", path, took)
				}
				if response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"unavailable"`) || response.Header.Get("Retry-After") == "" {
					return fmt.Errorf("%s while the store is away: %s %v %s", path, response.Status, response.Header, body)
				}
				return nil
			})
		}
	}
	w.errand(requests...)
}

// isBack waits until every server is ready again and each of these requests is accepted.
// Their answers stay unread.
func (w *world) isBack(requests ...request) {
	w.Helper()
	deadline := time.Now().Add(recovery)
	for _, addr := range slices.Concat(w.chats, w.lobbies) {
		w.eventually("ready again", func() bool { return w.get(addr, "/readyz").status == http.StatusOK })
	}
	for _, r := range requests {
		for {
			r.c.send(r.typ, r.args)
			got, err := r.c.next(refusal + slack)
			if err != nil {
				w.Fatalf("%s after the store came back: %v", r.typ, err)
			}
			if !strings.Contains(got, `"unavailable"`) {
				r.c.unread(got)
				break
			}
			if time.Now().After(deadline) {
				w.Fatalf("%s is refused still: %s", r.typ, got)
			}
			pass(200 * time.Millisecond)
		}
	}
	if late := time.Since(deadline); late > 0 {
		w.Fatalf("back %v too late", late)
	}
}

// TestScenarioOutage stops the store under running servers.
func TestScenarioOutage(t *testing.T) {
	t.Parallel()
	all := scenarios{}
	for name, split := range map[string]bool{"/one process/": false, "/two of each/": true} {
		maps.Copy(all, scenarios{
			"redis-server" + name + "refused while it is away, resumed when it is back": func(w *world) {
				store := brokertest.StartRedisServer(w.T)
				p := place{open: at(store.URL()), split: split}
				w.deployment = p.start(w.T, nil)
				outage(w, store)
			},
			"redis-server" + name + "servers start before it": func(w *world) {
				store := brokertest.StartRedisServer(w.T)
				store.Kill()
				p := place{open: at(store.URL()), split: split}
				w.deployment = p.launch(w.T, nil)
				w.isAway()
				store.Restart()
				w.isBack()
				agents := w.agents(2)
				_, user, support := w.coupleSeenBy(agents)
				user.said("hello", support)
				users, _ := w.waiting("Dodo")
				each(agents, func(a *client) { a.expectAnnounced(users[0]) })
				w.agents(2, users...)
			},
			"embedded" + name + "refused while it is away": func(w *world) {
				store := brokertest.StartEmbeddedRedis(w)
				p := place{open: at(store.URL()), split: split}
				w.deployment = p.start(w.T, nil)
				v, user, support := w.couple()
				user.said("hello", support)
				unjoined, agent := w.chat(v), w.agent()
				store.Close()
				w.isAway()
				w.refused(
					request{user, "ChatMessage", user.says("lost?")},
					request{unjoined, "Join", v.asUser()},
					request{agent, "JoinUser", v.claim()},
				)
				each([]*client{user, support, unjoined, agent}, (*client).expectAnswersOnly)
			},
			"embedded" + name + "refused while it says nothing, resumed when it speaks again": func(w *world) {
				wire := brokertest.StartProxy(w.T, strings.TrimPrefix(brokertest.StartEmbeddedRedis(w).URL(), "redis://"))
				p := place{open: at("redis://" + wire.Addr()), split: split}
				w.deployment = p.start(w.T, nil)
				v, user, support := w.couple()
				one := user.said("before", support)
				unjoined, agent := w.chat(v), w.agent()
				wire.Stall()
				w.refused(
					request{user, "ChatMessage", user.says("nobody sees this")},
					request{unjoined, "Join", with(v.asUser(), "supportId", v.supportID)},
					request{agent, "JoinUser", v.claim()},
				)
				w.isAway()
				each([]*client{user, support, unjoined, agent}, (*client).expectAnswersOnly)
				wire.Heal()
				w.isBack(request{user, "ChatMessage", user.says("after")})
				two := user.expectMessage("User", "after")
				support.expect("ChatMessage", two)
				unjoined.rejoins("User")
				unjoined.expectHistory(one, two)
				users, _ := w.waiting("Dodo")
				w.agents(2, users...)
			},
		})
	}
	all["a chat server that died without a word: its users disappear within 30 s"] = ghosts
	atOnce(t, all, func(t *testing.T, run func(*world)) { run(&world{T: t}) })
}

// keepAll makes a redis-server store everything before it answers. By default a kill costs
// it the last second.
func (w *world) keepAll() {
	w.Helper()
	if err := w.redis().ConfigSet(context.Background(), "appendfsync", "always").Err(); err != nil {
		w.Fatal(err)
	}
}

func outage(w *world, store *brokertest.RedisServer) {
	w.keepAll()
	agents := w.agents(2)
	v, user, support := w.coupleSeenBy(agents)
	said := []obj{user.said("before", support)}
	waiting, sockets := w.waiting("Dodo", "Zaza")
	for _, v := range waiting {
		each(agents, func(a *client) { a.expectAnnounced(v) })
	}
	unjoined := w.chat(v)
	fresh := w.register("fresh")
	freshSocket := w.chat(fresh)

	for range 2 {
		store.Kill()
		w.isAway()
		pings := len(user.pinged())
		w.refused(
			request{user, "ChatMessage", user.says("nobody sees this")},
			request{support, "ChatMessage", support.says("nor this")},
			request{unjoined, "Join", with(v.asUser(), "supportId", v.supportID)},
			request{freshSocket, "Join", fresh.asUser()},
			request{agents[0], "JoinUser", waiting[0].claim()},
		)
		w.eventually("heartbeats go on", func() bool { return len(user.pinged()) > pings+1 })
		each([]*client{user, support, unjoined, freshSocket, agents[0], agents[1], sockets[0], sockets[1]}, (*client).expectAnswersOnly)

		// The same sockets go on as if nothing had been.
		store.Restart()
		w.keepAll()
		w.isBack(
			request{user, "ChatMessage", user.says("after")},
			request{agents[0], "Load", obj{"batch": true}},
			request{agents[1], "Load", obj{"batch": true}},
		)
		again := user.expectMessage("User", "after")
		support.expect("ChatMessage", again)
		w.isBack(request{support, "ChatMessage", support.says("yes, after")}) // perhaps at another server
		answer := support.expectMessage("Support", "yes, after")
		user.expect("ChatMessage", answer)
		said = append(said, again, answer)
		for _, a := range agents {
			a.expectUsers(waiting...)
		}
	}

	unjoined.rejoins("User")
	unjoined.expectHistory(said...)
	said = append(said, unjoined.said("from the other socket", user, support))
	freshSocket.joinsAsUser()
	each(agents, func(a *client) { a.expectAnnounced(fresh) })
	agents[1].send("JoinUser", waiting[0].claim())
	each(agents, func(a *client) { a.expectRemoved(waiting[0]) })
	w.support(waiting[0], "Kiku")
	sockets[0].expectSupportJoined()
	last := w.chat(v)
	last.rejoins("Support")
	last.expectHistory(said...)
	each(append(agents, user, support, unjoined, freshSocket, last), (*client).expectNothing)
}

// ghosts cuts a chat server off from the store before it ends, so that it cannot remove its
// users from the queue.
func ghosts(w *world) {
	store := brokertest.StartEmbeddedRedis(w)
	wire := brokertest.StartProxy(w.T, strings.TrimPrefix(store.URL(), "redis://"))
	w.deployment = place{open: at(store.URL())}.start(w.T, nil)
	cfg := defaults(w.T)
	cfg.RedisURL = "redis://" + wire.Addr()
	dying, err := backend.Start(context.Background(), cfg, backend.Chat)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = dying.Shutdown(context.Background()) })
	w.eventually("ready", func() bool { return w.get(dying.ChatAddr(), "/readyz").status == http.StatusOK })

	ghost, alive, saved := w.register("ghost"), w.register("alive"), w.register("saved")
	for _, v := range []*visitor{ghost, saved} {
		w.userAt(dying.ChatAddr(), v).ignoreRest()
	}
	w.user(alive)
	agents := w.agents(2, ghost, saved, alive)
	wire.Cut()
	start := time.Now()
	_ = dying.Shutdown(context.Background()) // whatever it could not do
	w.user(saved)                            // this one came back by another server
	for _, a := range agents {
		got, err := a.next(time.Until(start.Add(30 * time.Second)))
		if err != nil {
			w.Fatal(err)
		}
		a.unread(got)
		a.expectRemoved(ghost)
	}
	each(agents, (*client).expectNothing)
	agents[0].load(saved, alive)
}
