package faults_test

import (
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestManyChats opens many chats, uses them, and lets them expire. The heap, goroutines,
// keys and subscriptions return to what they were.
func TestManyChats(t *testing.T) {
	s := begin(t)
	for _, broker := range brokers {
		t.Run(broker, func(t *testing.T) {
			w := newWorld(t, broker)
			w.config("appendfsync", "no") // the disk is not what is tested
			const ttl = 1500 * time.Millisecond
			// Frequent collections keep the heap near to what is in use.
			env := []string{fmt.Sprintf("CHAT_TTL=%v", ttl), "GOGC=20"}
			servers := []*server{w.startChat(env...), w.startChat(env...), w.startLobby(env...)}
			first := s.manyChats / 10
			w.manyChats(first, servers[:2])
			usual := w.footprint(servers, nil)
			start := time.Now()
			seen := w.manyChats(s.manyChats, servers[:2])
			took := time.Since(start)
			after := w.footprint(servers, usual)
			t.Logf("%s: chats %d in %v, messages seen %d; after %d chats and after all of them: %v", t.Name(), s.manyChats, took.Round(time.Second), seen, first, after)
			w.alive(servers...)
		})
	}
}

// manyChats opens this many chats one after the other, some at the same time. In each, both
// sides write a message. In one of twenty they stay until the chat expires.
func (w *world) manyChats(n int, servers []*server) (seen int64) {
	w.Helper()
	const at = 48
	var next, messages atomic.Int64
	var all errgroup
	for range at {
		all.Go(func() error {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := oneChat(servers[i%2].addr, servers[i/2%2].addr, i%20 == 0, &messages); err != nil {
					return fmt.Errorf("chat %d: %w", i, err)
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		w.Fatal(err)
	}
	if want := int64(4 * n); messages.Load() != want {
		w.Errorf("messages seen: %d, want %d", messages.Load(), want)
	}
	return messages.Load()
}

func oneChat(userAddr, agentAddr string, stay bool, messages *atomic.Int64) error {
	v, err := register(userAddr, "Nika")
	if err != nil {
		return err
	}
	user, err := join(userAddr, v, map[string]any{"userId": v.UserID, "from": "User"}, "UserJoined")
	if err != nil {
		return err
	}
	defer user.Close()
	agent, err := join(agentAddr, v, map[string]any{"userId": v.UserID, "from": "Support", "supportUserName": "Vika"}, "SupportJoinedUser")
	if err != nil {
		return err
	}
	defer agent.Close()
	if err := user.await("SupportJoinedUser"); err != nil {
		return err
	}
	for _, s := range []*rawSocket{user, agent} {
		from := map[bool]string{true: "User", false: "Support"}[s == user]
		if _, err := s.Write(rawText(encode("ChatMessage", map[string]any{"content": strings.Repeat("hello ", 50), "from": from}))); err != nil {
			return err
		}
		for _, reader := range []*rawSocket{user, agent} {
			if err := reader.await("ChatMessage"); err != nil {
				return err
			}
			messages.Add(1)
		}
	}
	for _, s := range []*rawSocket{user, agent} {
		if !stay {
			_, err = s.Write(rawFrame(0x88, "\x03\xe8"))
		} else if err = s.await("ChatExpired"); err != nil {
			return err
		}
		if e := s.end(5 * time.Second); err != nil || e.code != 1000 {
			return fmt.Errorf("the end: %v, %+v", err, e)
		}
	}
	return nil
}

// join opens a chat's socket and waits for the answer to its Join.
func join(addr string, v visitor, args map[string]any, answer string) (*rawSocket, error) {
	s, err := dialRaw(addr, "/chat/"+v.ChatID)
	if err != nil {
		return nil, err
	}
	if _, err = s.Write(rawText(encode("Join", args))); err == nil {
		err = s.await(answer)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// await reads until the next message, which must be of this type.
func (s *rawSocket) await(kind string) error {
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	defer s.SetReadDeadline(time.Time{})
	for {
		_, text, err := s.frame()
		if err != nil {
			return fmt.Errorf("instead of %s: %w", kind, err)
		}
		if text == "ping" {
			continue
		}
		if !strings.HasPrefix(text, `{"type":"`+kind+`"`) {
			return fmt.Errorf("instead of %s: %s", kind, text)
		}
		return nil
	}
}

// footprint is what the deployment holds, by name.
type footprint map[string]float64

func (f footprint) String() string {
	var b strings.Builder
	for _, name := range []string{"goroutines", "heap MB", "keys", "channels", "store MB", "consumers", "stream MB"} {
		fmt.Fprintf(&b, "%s %.1f→%.1f ", name, f[name+" before"], f[name])
	}
	return b.String()
}

// allowance is how much more there may be than before. The stream has its own limits: it
// forgets after minutes.
var allowance = footprint{"goroutines": 10, "heap MB": 4, "keys": 0, "channels": 0, "store MB": 3, "consumers": 0, "stream MB": 1024}

// footprint waits until the deployment holds no more than before or, without an earlier
// footprint, until its keys are gone.
func (w *world) footprint(servers []*server, before footprint) footprint {
	w.Helper()
	var now footprint
	small := poll(30*time.Second, func() bool {
		now = footprint{}
		for _, s := range servers {
			m := w.metrics(s)
			now["goroutines"] += m["go_goroutines"]
			now["heap MB"] += m["go_memstats_heap_alloc_bytes"] / (1 << 20)
		}
		// What the queue keeps for a while after it was used is not counted.
		keys, channels := w.store.Keys(w.ctx(), "chat:*"), w.store.PubSubChannels(w.ctx(), "chat:*")
		now["keys"], now["channels"] = float64(len(keys.Val())), float64(len(channels.Val()))
		if now["keys"] > 0 {
			return false
		}
		memory := w.store.InfoMap(w.ctx(), "memory").Val()["Memory"]["used_memory"]
		var bytes float64
		if _, err := fmt.Sscan(memory, &bytes); err != nil {
			w.Fatalf("used_memory %q: %v", memory, err)
		}
		now["store MB"] = bytes / (1 << 20)
		if w.nats != nil {
			maps.Copy(now, w.nats.holds())
		}
		for name, more := range allowance {
			if before != nil && now[name] > before[name]+more {
				return false
			}
		}
		return true
	})
	for name := range allowance {
		now[name+" before"] = before[name]
	}
	if !small {
		w.Errorf("does not return to where it was: %v", now)
	}
	return now
}
