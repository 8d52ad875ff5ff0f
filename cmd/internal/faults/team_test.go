package faults_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// shownAgents are the chats of each agent, by name, in the latest list that a page got.
func shownAgents(p *peer) map[string]int {
	var list struct {
		Args struct {
			Agents []struct {
				SupportUserName string
				Chats           int
			}
		}
	}
	frames := p.all()
	for i := len(frames) - 1; i >= 0; i-- {
		if !strings.HasPrefix(frames[i], `{"type":"Agents"`) {
			continue
		}
		if json.Unmarshal([]byte(frames[i]), &list) != nil {
			return nil
		}
		agents := map[string]int{}
		for _, a := range list.Args.Agents {
			agents[a.SupportUserName] = a.Chats
		}
		return agents
	}
	return nil
}

// A lobby dies in the middle of an offer, then the chat server: the next agent is asked,
// who was there is gone, and what counted as their chats counts no more.
func TestKillInTheMiddleOfAnOffer(t *testing.T) {
	begin(t)
	for _, broker := range brokers {
		t.Run(broker, func(t *testing.T) {
			w := newWorld(t, broker)
			assign := []string{"ASSIGN=round_robin", "OFFER_TTL=5m"}
			chats, dying, lobby := w.startChat(assign...), w.startLobby(assign...), w.startLobby(assign...)
			load := func(name string) string {
				return encode("Load", map[string]any{"features": []string{"agents", "offers"}, "supportUserName": name})
			}
			offer := func(p *peer) func() bool {
				return func() bool { return strings.Contains(strings.Join(p.all(), "\n"), `"type":"Offer"`) }
			}
			first := w.open(dying.addr, "/users", "pong:support", load("Vika"))
			eventually(w.T, 10*time.Second, "Vika is there", func() bool { return len(shownAgents(first)) == 1 })
			second := w.open(lobby.addr, "/users", "pong:support", load("Dodo"))
			eventually(w.T, 10*time.Second, "both are there", func() bool { return len(shownAgents(second)) == 2 })
			v := w.wait(chats, "Nika")
			eventually(w.T, 10*time.Second, "Vika, who came first, is asked", offer(first))

			w.kill(dying)
			eventually(w.T, 30*time.Second, "Dodo is asked", offer(second))
			eventually(w.T, 5*time.Second, "Vika is gone", func() bool { return len(shownAgents(second)) == 1 })
			if err := second.send(encode("JoinUser", map[string]any{"userId": v.UserID, "chatId": v.ChatID})); err != nil {
				w.Fatal(err)
			}
			// Without tokens the claim alone says whose chat it is.
			eventually(w.T, 10*time.Second, "Dodo has the claim", func() bool {
				return strings.Contains(strings.Join(second.all(), "\n"), `"type":"RemoveUser"`)
			})
			support := w.open(chats.addr, "/chat/"+v.ChatID, "pong:support",
				encode("Join", map[string]any{"userId": v.UserID, "from": "Support", "supportUserName": "Dodo"}))
			eventually(w.T, 10*time.Second, "Dodo has the chat", func() bool {
				return strings.Contains(strings.Join(support.all(), ""), "SupportJoinedUser") && shownAgents(second)["Dodo"] == 1
			})

			w.kill(chats)
			eventually(w.T, 30*time.Second, "nobody has a chat", func() bool { return shownAgents(second)["Dodo"] == 0 })
			w.kill(lobby)
			keys, err := w.store.Keys(w.ctx(), "{lobby}:*").Result()
			if err != nil || len(keys) == 0 {
				w.Fatal(keys, err)
			}
			for _, key := range keys {
				if left, err := w.store.PTTL(w.ctx(), key).Result(); err != nil && err != redis.Nil || left == -1 {
					w.Errorf("%s has no time to live (%v)", key, err)
				}
			}
		})
	}
}
