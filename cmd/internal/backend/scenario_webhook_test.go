package backend_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"livesupport/cmd/internal/backend"
	"livesupport/web/api/apitest"
)

const (
	hookSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	hookSecretOld = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// hooked is an event as a receiver got it.
type hooked struct {
	id, body, typ string
	data          obj
	took          time.Duration // from its timestamp
}

// hook is a receiver of events that verifies them as the standard's library does.
type hook struct {
	server *httptest.Server
	mu     sync.Mutex
	answer func(id string, try int) int // the status; nil is always 204
	tries  map[string]int
	first  []hooked // each event once, in the order in which they were taken first
	wrong  []string
}

var hooks sync.Map // by URL

func newHook() *hook {
	h := &hook{tries: map[string]int{}}
	h.server = httptest.NewServer(h)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	id := r.Header.Get("webhook-id")
	var problem error
	for _, secret := range []string{hookSecret, hookSecretOld} {
		verifier, err := standardwebhooks.NewWebhook(secret)
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		if err != nil {
			problem = err
		}
	}
	var e struct {
		Type, Timestamp string
		Data            obj
	}
	if err := json.Unmarshal(body, &e); err != nil {
		problem = err
	}
	if err := apitest.Event(body); err != nil {
		problem = err
	}
	at, err := time.Parse("2006-01-02T15:04:05.000000Z", e.Timestamp)
	if err != nil {
		problem = err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tries[id]++
	if problem != nil {
		h.wrong = append(h.wrong, fmt.Sprintf("%s %s: %v", id, body, problem))
	}
	if strings.Contains(string(body), "canary") {
		h.wrong = append(h.wrong, "a note: "+string(body))
	}
	status := 204
	if h.answer != nil {
		status = h.answer(id, h.tries[id])
	}
	if status == 204 {
		known := slices.IndexFunc(h.first, func(other hooked) bool { return other.id == id })
		switch {
		case known < 0:
			h.first = append(h.first, hooked{id, string(body), e.Type, e.Data, time.Since(at)})
		case h.first[known].body != string(body):
			h.wrong = append(h.wrong, "another event with the id of "+h.first[known].body+": "+string(body))
		}
	}
	w.WriteHeader(status)
}

func (h *hook) set(answer func(id string, try int) int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

// of are the events of a chat.
func (h *hook) of(v *visitor) (all []hooked) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.first {
		if e.data["chatId"] == v.chatID {
			all = append(all, e)
		}
	}
	return all
}

// all are those of all chats.
func (h *hook) all() []hooked {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.first)
}

// hooking is a group of scenarios in deployments that tell two receivers.
func hooking(tune tuning, group func(tuning, scenarios) group, all scenarios) group {
	return func(t *testing.T, p place) func() {
		return group(func(c *backend.Config) {
			unlimited(c)
			c.ChatTTL = keptTTL
			c.MetricsAddr = "127.0.0.1:0"
			c.FilesURL = "file://" + filepath.ToSlash(t.TempDir())
			c.WebhookSecrets, c.WebhookAllowPrivate = []string{hookSecret, hookSecretOld}, true
			for range 2 {
				h := newHook()
				t.Cleanup(h.server.Close)
				hooks.Store(h.server.URL, h)
				c.WebhookURLs = append(c.WebhookURLs, h.server.URL)
			}
			if tune != nil {
				tune(c)
			}
		}, all)(t, p)
	}
}

// hook is one of the deployment's receivers.
func (w *world) hook(i int) *hook {
	w.Helper()
	h, _ := hooks.Load(w.webhookURLs[i])
	return h.(*hook)
}

// hears wants the events of a chat to be these, at every receiver, and returns them.
func (w *world) hears(v *visitor, types ...string) (events []hooked) {
	w.Helper()
	for i := range w.webhookURLs {
		h := w.hook(i)
		var got []string
		defer func() {
			if w.Failed() {
				w.Logf("receiver %d got %q", i, got)
			}
		}()
		w.within(15*time.Second, "the events are "+strings.Join(types, ", "), func() bool {
			events, got = h.of(v), nil
			for _, e := range events {
				got = append(got, strings.TrimPrefix(e.typ, "chat."))
			}
			return slices.Equal(got, types)
		})
		h.mu.Lock()
		for _, wrong := range h.wrong {
			w.Error(wrong)
		}
		h.mu.Unlock()
	}
	return events
}

// expectData wants an event to tell this of the chat.
func (w *world) expectData(v *visitor, e hooked, more obj) {
	w.Helper()
	want := obj{"chatId": v.chatID, "userId": v.userID, "username": v.username}
	for key, value := range more {
		want[key] = value
	}
	got, _ := json.Marshal(e.data)
	wanted, _ := json.Marshal(want)
	if string(got) != string(wanted) {
		w.Errorf("%s tells\n%s, want\n%s", e.typ, got, wanted)
	}
	if !strings.HasPrefix(e.id, v.chatID) {
		w.Errorf("the id is %s", e.id)
	}
}

func TestScenarioWebhook(t *testing.T) {
	t.Parallel()
	const grace = slowness * time.Second
	short := func(c *backend.Config) { c.ClaimTTL, c.LeaveGrace, c.ChatTTL = grace, grace, 30*time.Second }
	orphans := func(c *backend.Config) { c.SupportGrace, c.ChatTTL = orphanGrace, 30*time.Second }
	inEveryPlace(t, hooking(nil, shared, scenarios{
		"a message tells its files": func(w *world) {
			v, user, support := w.liveCouple("files")
			picture := w.uploaded(v, "a b.png", "image/png", pngContent)
			user.sends("", picture["fileId"])
			carried := user.expect("ChatMessage", user.carrying("", picture))
			support.expect("ChatMessage", carried)
			user.send("CloseChat", nil)
			user.expectExpired(v)
			support.expectExpired(v)
			events := w.hears(v, "waiting", "taken", "message", "closed")
			w.expectData(v, events[2], with(carried, "seq", 1))
		},
		"what happens in a chat is told in order, and nothing of its notes": func(w *world) {
			v, user, support := w.liveCouple("transfer", "notes", "close", "rating", "receipts", "messageId")
			user.send("ChatMessage", with(user.says("one"), "messageId", "m1"))
			user.expectPast("ChatMessage")
			support.expectPast("ChatMessage")
			support.send("Note", obj{"content": "canary"})
			support.expectPast("Note")
			support.ignoreRest()
			support.send("Transfer", obj{"to": "queue", "note": "canary"})
			user.expectPast("SupportLeft")
			old := *v
			user.v = v.given()
			support = w.chat(user.v)
			support.joinsAsSupport("Dodo")
			support.ignoreRest()
			user.ignoreRest()
			user.send("Rate", obj{"score": 4, "comment": "fine"})
			user.send("Receipt", obj{"read": 1})
			user.send("CloseChat", nil)
			got := w.hears(v, "waiting", "taken", "message", "released", "waiting", "taken", "rated", "closed")
			w.expectData(v, got[0], nil)
			w.expectData(v, got[1], obj{"supportId": old.supportID, "supportUserName": "Vika", "agent": nil})
			message := got[2].data
			w.expectData(v, got[2], obj{"supportId": old.supportID, "content": "one", "from": "User", "seq": 1.0, "messageId": "m1", "timestamp": message["timestamp"]})
			w.expectData(v, got[3], obj{"supportId": old.supportID, "supportUserName": "Vika", "agent": nil, "reason": "transfer"})
			w.expectData(v, got[4], nil)
			w.expectData(v, got[6], obj{"score": 4.0, "comment": "fine"})
			w.expectData(v, got[7], obj{"from": "User"})
			w.storeForgets(v)
			w.hears(v, "waiting", "taken", "message", "released", "waiting", "taken", "rated", "closed")
			for _, e := range got[:7] {
				if e.took > 3*time.Second {
					w.Errorf("%s came after %v", e.typ, e.took)
				}
			}
		},
		"a chat that expires": func(w *world) {
			v := w.register("Nika")
			w.user(v).close()
			got := w.hears(v, "waiting", "expired")
			w.expectData(v, got[1], nil)
			w.storeForgets(v)
		},
		"a chat that nobody has joined": func(w *world) {
			v := w.register("Nika")
			w.hears(v, "expired")
			w.storeForgets(v)
		},
	}), hooking(short, shared, scenarios{
		"a wait is told once, and so is the next one": func(w *world) {
			v := w.register("Nika")
			agent := w.agent()
			agent.ignoreRest()
			tabs := []*client{w.user(v), w.user(v)}
			agent.send("JoinUser", v.claim())
			pass(2 * grace) // the claim runs out
			w.hears(v, "waiting")
			for _, tab := range tabs {
				tab.close()
			}
			tabs[0] = w.user(v) // in time
			pass(grace + grace/2)
			w.hears(v, "waiting")
			tabs[0].close()
			pass(2*grace + grace/2)
			w.user(v).ignoreRest()
			w.user(v).ignoreRest()
			w.hears(v, "waiting", "waiting")
			w.support(v, "Vika")
			w.hears(v, "waiting", "waiting", "taken")
		},
	}), hooking(orphans, shared, scenarios{
		"a support is lost, and comes back": func(w *world) {
			v, user, support := w.liveCouple("transfer")
			lost := *v
			support.close()
			user.expectPast("SupportLeft")
			w.hears(v, "waiting", "taken", "released", "waiting")
			back := w.joinsAs(&lost, lost.supportID)
			back.ignoreRest()
			user.ignoreRest()
			got := w.hears(v, "waiting", "taken", "released", "waiting", "taken")
			w.expectData(v, got[2], obj{"supportId": lost.supportID, "supportUserName": "Vika", "agent": nil, "reason": "lost"})
			w.expectData(v, got[4], obj{"supportId": lost.supportID, "supportUserName": "Vika", "agent": nil})
		},
	}), kept(nil, func(tune tuning, all scenarios) group { return hooking(tune, alone, all) }, scenarios{
		"a message that was left": func(w *world) {
			r := w.post(w.chats[0], "/messages", text(obj{"name": "Ana", "email": "ana@shop.example", "content": "hello?\u2028"}))
			id := w.expectJSON(r, 202)["messageId"]
			for i := range w.webhookURLs {
				var left []hooked
				w.within(5*time.Second, "it is told of", func() bool { left = w.hook(i).all(); return len(left) == 1 })
				got := left[0].data
				want := obj{
					"messageId": id, "name": "Ana", "email": "ana@shop.example", "content": "hello?\u2028", "team": nil,
					"details": nil, "timestamp": got["timestamp"], "done": false,
				}
				if left[0].typ != "message.left" || text(got) != text(want) {
					w.Errorf("%s %s, want %s", left[0].typ, text(got), text(want))
				}
			}
			away := w.takeArchiveAway()
			w.expectFailure(w.post(w.chats[0], "/messages", text(obj{"name": "Ana", "content": "not kept"})), 503, "unavailable")
			away()
			v := w.register("Nika") // with both, its log goes when both have it
			w.user(v).close()
			w.hears(v, "waiting", "expired")
			w.storeForgets(v)
			if n := len(w.hook(0).all()); n != 3 {
				w.Errorf("%d events", n)
			}
		},
	}), hooking(func(c *backend.Config) { c.ChatTTL = 30 * time.Second }, alone, scenarios{
		"a receiver that fails at random gets every event, in order": func(w *world) {
			w.hook(0).set(func(_ string, try int) int {
				if try == 1 && rand.IntN(4) == 0 {
					return []int{302, 400, 429, 500}[rand.IntN(4)]
				}
				return 204
			})
			const chats, messages = 5, 8
			var all []*visitor
			for range chats {
				v, user, support := w.couple()
				all = append(all, v)
				for i := range messages {
					[]*client{user, support}[i%2].say(fmt.Sprint("message ", i))
				}
				user.ignoreRest()
				support.ignoreRest()
			}
			want := append([]string{"waiting", "taken"}, slices.Repeat([]string{"message"}, messages)...)
			w.within(60*time.Second, "all have come", func() bool {
				return !slices.ContainsFunc(all, func(v *visitor) bool { return len(w.hook(0).of(v)) < len(want) })
			})
			for _, v := range all {
				for i, e := range w.hears(v, want...)[2:] {
					if e.data["seq"] != float64(i+1) {
						w.Errorf("message %d is %v", i+1, e.data)
					}
				}
			}
		},
		"a receiver that is away delays nothing but its own events": func(w *world) {
			w.hook(0).set(func(string, int) int { return 500 })
			v, user, support := w.couple()
			user.said("one", support)
			w.within(5*time.Second, "the other one has them", func() bool { return len(w.hook(1).of(v)) == 3 })
			w.eventually("they wait", func() bool { return w.figure("livesupport_webhook_waiting") >= 1 })
			for _, b := range w.backends[:len(w.backends)-1] {
				stop(w.T, b)
			}
			w.hook(0).set(nil)
			w.hears(v, "waiting", "taken", "message")
		},
	}))
}
