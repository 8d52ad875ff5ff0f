package faults_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livesupport/chat/archive"
)

// TestClockOff sets the clock of one chat server an hour ahead. Order, timestamps and
// expiry stay right.
func TestClockOff(t *testing.T) {
	s := begin(t)
	ahead := buildWithClockOff(t, "livesupport/cmd/chatserver", time.Hour)
	t.Run("traffic", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "redis")
		servers := []*server{w.startChat(), w.start(ahead), w.startChat()}
		w.add(servers[1])
		off := servers[1].clock(t)
		if off < 59*time.Minute {
			t.Fatalf("the server's clock is %v off", off)
		}
		tr := w.talk(s)
		wait(t.Context(), 2*time.Second)
		killed := time.Now()
		w.kill(servers[0]) // its clients change between clocks
		tr.flows("after a kill", 15*time.Second)
		tr.converges("after a kill", killed, killed)
		wait(t.Context(), time.Second)
		tr.settle(15 * time.Second) // times that run backwards are found here
		for _, c := range tr.chats {
			for _, p := range []*participant{c.user, c.agent} {
				if at, err := time.Parse(time.RFC3339Nano, p.lastTime); err != nil || time.Since(at).Abs() > time.Minute {
					t.Fatalf("%s: the last message is of %v, %v", c.ChatID, p.lastTime, err)
				}
			}
		}
		t.Logf("%s: the clock of one server was off by %v", t.Name(), off.Round(time.Second))
	})
	t.Run("expiry", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "redis")
		const ttl = 3 * time.Second
		env := fmt.Sprintf("CHAT_TTL=%v", ttl)
		servers := []*server{w.startChat(env), w.start(ahead, env)}
		for _, order := range [][2]int{{0, 1}, {1, 0}, {1, 1}} {
			user, agent := servers[order[0]], servers[order[1]]
			v := w.wait(user, "Nika")
			eventually(t, 2*time.Second, "the user waits", func() bool { return len(v.all()) > 0 })
			support := w.take(agent, v)
			written := time.Now()
			if err := v.send(encode("ChatMessage", map[string]any{"content": "hey", "from": "User"})); err != nil {
				t.Fatal(err)
			}
			for _, p := range []*peer{v.peer, support} {
				eventually(t, ttl+3*time.Second, "the chat expires", func() bool { return strings.Contains(strings.Join(p.all(), ""), "ChatExpired") })
				if after := time.Since(written); after < ttl-100*time.Millisecond || after > ttl+1500*time.Millisecond {
					t.Errorf("expired %v after the last message, and not %v", after, ttl)
				}
			}
		}
	})
	t.Run("archive", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "redis")
		k := w.keep("sqlite:"+filepath.Join(t.TempDir(), "archive.db"), keptTTL)
		right := w.startChat(k.env...)
		k.chats = []*server{w.start(ahead, k.env...)}
		w.add(k.chats[0])
		k.begin(s)
		k.say(6)
		from := time.Now()
		w.kill(right) // the other one archives everything
		k.fault(from, time.Now())
		k.traffic.flows("after a kill", 15*time.Second)
		k.traffic.healed = time.Now()
		k.say(6)
		k.complete()
		chats, _, err := k.archive.Search(k.ctx(), "", archive.Filter{}, "", 5000)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range chats {
			started, err := time.Parse(time.RFC3339Nano, c.Started)
			ended, failed := time.Parse(time.RFC3339Nano, c.Ended)
			if err != nil || failed != nil || started.Before(from.Add(-time.Minute)) || ended.Before(started) || ended.After(time.Now()) {
				t.Errorf("%s is archived as from %s to %s", c.ChatID, c.Started, c.Ended)
			}
		}
	})
	t.Run("before it knows the store's time", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "redis")
		right := w.startChat()
		p := startProxy(t, w.redis.Addr())
		p.delay(500 * time.Millisecond)
		off := w.launch(ahead, p.through("REDIS_URL", w.redis.URL()))
		var v visitor
		eventually(t, 10*time.Second, "a registration", func() bool {
			status, body, err := get(off.addr, "/user/join/Nika")
			return err == nil && status == http.StatusOK && json.Unmarshal(body, &v) == nil
		})
		user := w.open(right.addr, "/chat/"+v.ChatID, "pong:user", encode("Join", map[string]any{"userId": v.UserID, "from": "User"}))
		eventually(t, 5*time.Second, "the user waits", func() bool { return len(user.all()) > 0 })
		if err := user.send(encode("ChatMessage", map[string]any{"content": "hey", "from": "User"})); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Second, "the message", func() bool { return len(user.all()) > 1 })
		var m struct{ Args struct{ Timestamp time.Time } }
		if err := json.Unmarshal([]byte(user.all()[1]), &m); err != nil || time.Since(m.Args.Timestamp).Abs() > time.Minute {
			t.Errorf("a message of now, %v, is %s", time.Now().UTC(), user.all()[1])
		}
	})
}

// clock returns how far the clock of the process is ahead of ours, according to its log.
func (s *server) clock(t *testing.T) time.Duration {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var line struct{ Time time.Time }
	if err := json.Unmarshal([]byte(s.tail[len(s.tail)-1]), &line); err != nil {
		t.Fatal(err)
	}
	return time.Until(line.Time)
}
