package faults_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"livesupport/web/api/apitest"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// toldEvent is what a receiver has got of a chat.
type toldEvent struct{ id, kind, messageID string }

// eventReceiver takes events, but for some at random.
type eventReceiver struct {
	mu     sync.Mutex
	chats  map[string][]toldEvent // distinct, in the order in which they were taken first
	known  map[string]bool
	again  int
	forged int
}

func (e *eventReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var event struct {
		Type string
		Data struct{ ChatID, MessageID string }
	}
	verifier, err := standardwebhooks.NewWebhook(webhookSecret)
	if err == nil {
		err = verifier.Verify(body, r.Header)
	}
	if err == nil {
		err = apitest.Event(body)
	}
	if err == nil {
		err = json.Unmarshal(body, &event)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.forged++
	}
	if rand.IntN(50) == 0 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	id := r.Header.Get("webhook-id")
	if e.known[id] {
		e.again++
		return
	}
	e.known[id] = true
	e.chats[event.Data.ChatID] = append(e.chats[event.Data.ChatID], toldEvent{id, event.Type, event.Data.MessageID})
}

// of are the messages of a chat that the receiver has got, and how often it has ended.
func (e *eventReceiver) of(chatID string) (messages []string, ends int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.chats[chatID] {
		switch event.kind {
		case "chat.message":
			messages = append(messages, event.messageID)
		case "chat.closed", "chat.expired":
			ends++
		}
	}
	return messages, ends
}

// hooked starts a receiver. The variables make servers send it their events.
func (w *world) hooked() (events *eventReceiver, env []string) {
	w.Helper()
	events = &eventReceiver{chats: map[string][]toldEvent{}, known: map[string]bool{}}
	receiver := httptest.NewServer(events)
	w.Cleanup(receiver.Close)
	return events, []string{"WEBHOOK_URL=" + receiver.URL, "WEBHOOK_SECRET=" + webhookSecret, "WEBHOOK_ALLOW_PRIVATE=true"}
}

// haveHistories wants the receiver to have, in order, all messages that are in the histories of chats which have lost some.
func (e *eventReceiver) haveHistories(tr *traffic) {
	tr.world.Helper()
	total, lacking := 0, ""
	histories := tr.histories()
	poll(30*time.Second, func() bool {
		total, lacking = 0, ""
		for i, c := range tr.chats {
			got, _ := e.of(c.ChatID)
			total += len(got)
			for _, m := range histories[i] {
				at := slices.Index(got, m.MessageID)
				if at < 0 {
					lacking = c.ChatID + " lacks " + m.MessageID
					return false
				}
				got = got[at+1:]
			}
		}
		return true
	})
	if lacking != "" {
		tr.world.Errorf("events: %s", lacking)
	}
	kept := 0
	for _, history := range histories {
		kept += len(history)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	tr.world.Logf("events: %d messages were told, %d are in histories; %d events came again, %d do not verify", total, kept, e.again, e.forged)
	if e.forged > 0 {
		tr.world.Error("some events do not verify")
	}
}

// Chat servers, lobbies and Redis die at random moments, and the receiver fails now and
// then. It gets every message that anybody has seen, in order, and the end of every chat.
func TestWebhook(t *testing.T) {
	s := begin(t)
	for _, broker := range brokers {
		t.Run(broker, func(t *testing.T) {
			w := newWorld(t, broker)
			events, env := w.hooked()
			env = append(env, "CHAT_TTL="+keptTTL.String())
			chats, lobbies := []*server{w.startChat(env...), w.startChat(env...)}, []*server{w.startLobby(env...), w.startLobby(env...)}
			tr := w.talk(s)
			for round := range s.kills {
				wait(w.Context(), rand.N(2*time.Second)) // the random moment
				i := rand.IntN(2)
				w.kill(chats[i])
				chats[i] = w.startChat(env...)
				w.dropLobby(lobbies[i])
				lobbies[i] = w.startLobby(env...)
				if round%2 == 0 {
					w.redis.Kill()
					wait(w.Context(), time.Second)
					w.restartRedis()
				}
				tr.healed = time.Now()
				tr.flows("after the faults", 15*time.Second)
			}
			tr.settle(15 * time.Second)
			began := time.Now()
			var left int
			poll(keptTTL+30*time.Second, func() bool {
				left = 0
				for _, c := range tr.chats {
					if messages, ends := events.of(c.ChatID); len(messages) < len(c.user.view) || ends == 0 {
						left++
					}
				}
				return left == 0
			})
			total := 0
			for _, c := range tr.chats {
				messages, ends := events.of(c.ChatID)
				total += len(messages)
				if !slices.Equal(messages, c.user.view) || ends != 1 {
					t.Errorf("%s: %d messages for %d, %d ends", c.ChatID, len(messages), len(c.user.view), ends)
				}
			}
			t.Logf("%d messages of %d chats were told, %d events again, the last after %v", total, len(tr.chats), events.again, time.Since(began).Round(time.Second))
			if events.forged > 0 {
				t.Errorf("%d events do not verify", events.forged)
			}
			w.alive(append(chats, lobbies...)...)
		})
	}
}
