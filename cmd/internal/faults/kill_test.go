package faults_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// One of two chat servers dies at a random moment, again and again.
func TestKillChatServer(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		servers := []*server{w.startChat(), w.startChat()}
		tr := w.talk(s)
		for range s.kills {
			wait(w.Context(), time.Second+rand.N(time.Second)) // the random moment
			i := rand.IntN(2)
			killed := time.Now()
			w.kill(servers[i])
			tr.flows("after a kill", 15*time.Second)
			tr.converges("after a kill", killed, killed)
			servers[i] = w.startChat()
		}
		tr.settle(15 * time.Second)
		w.alive(servers...)
	})
}

// A chat server dies at the worst moment: the store has its message, and nobody
// has been told. When the sender is back, on a third server, the other side must
// get the message although nothing else is written. Nothing runs beside it, since the
// moment counts.
func TestKillBetweenStoreAndBroker(t *testing.T) {
	begin(t)
	for name, attends := range map[string]bool{"a server new to the chat": false, "a server that attends the chat": true} {
		for _, broker := range brokers {
			t.Run(name+"/"+broker, func(t *testing.T) {
				w := newWorld(t, broker)
				p := startProxy(w.T, w.redis.Addr())
				dying := w.startChat(p.through("REDIS_URL", w.redis.URL()))
				agents, third := w.startChat(), w.startChat()
				v := w.wait(dying, "Nika")
				eventually(w.T, 5*time.Second, "the user waits", func() bool { return len(v.all()) > 0 })
				agent := w.take(agents, v)
				// Only the message is to be under way to the store when the proxy takes the answers.
				eventually(w.T, 5*time.Second, "the user sees the agent", func() bool { return strings.Contains(strings.Join(v.all(), ""), "SupportJoinedUser") })
				rounds := func() float64 { return w.metrics(dying)["livesupport_redis_pipeline_seconds_count"] }
				eventually(w.T, 10*time.Second, "the dying server is at rest", func() bool {
					before := rounds()
					wait(w.Context(), 300*time.Millisecond)
					return rounds() == before
				})
				join := encode("Join", map[string]any{"userId": v.UserID, "from": "User", "features": []string{"messageId"}})
				if attends {
					tab := w.open(third.addr, "/chat/"+v.ChatID, "pong:user", join)
					eventually(w.T, 5*time.Second, "a second tab has joined", func() bool { return len(tab.all()) > 0 })
				}
				key := "chat:{" + v.ChatID + "}"
				entries := func() int64 { return w.store.LLen(w.ctx(), key).Val() }
				p.deafen()
				before := entries()
				text := encode("ChatMessage", map[string]any{"content": "the last words", "from": "User", "messageId": "1"})
				if err := v.send(text); err != nil {
					w.Fatal(err)
				}
				eventually(w.T, 5*time.Second, "the store has the message", func() bool { return entries() > before })
				w.kill(dying)

				has := func(p *peer) bool { return strings.Contains(strings.Join(p.all(), "\n"), "the last words") }
				back := w.open(third.addr, "/chat/"+v.ChatID, "pong:user", join)
				eventually(w.T, 5*time.Second, "the sender sees the message", func() bool { return has(back) })
				if err := back.send(text); err != nil { // a client cannot know better
					w.Fatal(err)
				}
				eventually(w.T, 5*time.Second, "the other side sees the message", func() bool { return has(agent) })
				if n := strings.Count(strings.Join(agent.all(), "\n"), "the last words"); n != 1 {
					w.Errorf("the other side saw it %d times", n)
				}
			})
		}
	}
}
