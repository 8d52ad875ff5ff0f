package faults_test

import (
	"context"
	"livesupport/broker/brokertest"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestRedisRefuses makes Redis answer with errors. Messages are refused as unavailable,
// nothing crashes, and service resumes by itself.
func TestRedisRefuses(t *testing.T) {
	begin(t)
	t.Parallel()
	for name, fault := range map[string]struct {
		begin, end func(w *world)
	}{
		"read-only replica": {
			func(w *world) { w.admin("replicaof", "127.0.0.1", strings.Split(brokertest.FreeAddr(w.T), ":")[1]) },
			func(w *world) { w.admin("replicaof", "no", "one") },
		},
		"too few replicas": {
			func(w *world) { w.config("min-replicas-to-write", "1") },
			func(w *world) { w.config("min-replicas-to-write", "0") },
		},
		"out of memory": {
			func(w *world) { w.config("maxmemory", "1") },
			func(w *world) { w.config("maxmemory", "0") },
		},
		"wrong password": {
			func(w *world) {
				w.admin("acl", "setuser", "app", "resetpass", ">another")
				w.admin("client", "kill", "user", "app")
			},
			func(w *world) { w.admin("acl", "setuser", "app", "resetpass", ">s3cret") },
		},
		"missing permission": {
			func(w *world) { w.admin("acl", "setuser", "app", "-@write") },
			func(w *world) { w.admin("acl", "setuser", "app", "+@write") },
		},
		"too many clients": {
			func(w *world) {
				w.config("maxclients", "1")
				w.admin("client", "kill", "user", "app")
			},
			func(w *world) { w.config("maxclients", "1000") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			t.Parallel()
			w := newWorld(t, "redis")
			chats, lobby, tr := w.guarded(s)
			start := time.Now()
			fault.begin(w)
			eventually(t, 5*time.Second, "a registration is refused", func() bool {
				status, body, err := get(chats[0].addr, "/user/join/Nika")
				return err == nil && status == http.StatusServiceUnavailable && strings.Contains(string(body), `"unavailable"`)
			})
			wait(t.Context(), s.fault-time.Since(start))
			w.alive(append(chats, lobby)...)
			fault.end(w)
			back := time.Now()
			tr.flows("within 10 s of the end", 10*time.Second)
			t.Logf("refused for %v, all well after another %v", back.Sub(start).Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
			tr.converges("after the end", start, back)
			w.recovered(tr, chats, lobby, true)
		})
	}
	t.Run("loading", func(t *testing.T) {
		s := begin(t)
		t.Parallel()
		w := newWorld(t, "redis")
		chats, lobby := []*server{w.startChat(), w.startChat()}, w.startLobby()
		s.chats = max(10, s.chats/3)
		tr := w.talk(s)
		w.fill(4_000_000)
		killed := time.Now()
		w.redis.Kill()
		loading := w.count("LOADING")
		w.restartRedis() // returns when it has loaded
		if n := loading(); n == 0 {
			t.Error("Redis was never seen loading")
		}
		back := time.Now()
		tr.flows("within 10 s of the end", 10*time.Second)
		tr.converges("after the end", killed, back)
		w.recovered(tr, chats, lobby, false)
	})
	t.Run("connections closed at random", func(t *testing.T) {
		s := begin(t)
		t.Parallel()
		w := newWorld(t, "redis")
		chats, lobby, tr := w.guarded(s)
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		killed, start := 0, time.Now()
		for end := time.Now().Add(s.fault); time.Now().Before(end); <-ticker.C {
			killed += w.killSome()
		}
		back := time.Now()
		tr.flows("within 10 s of the end", 10*time.Second)
		t.Logf("%d connections closed", killed)
		tr.converges("after the end", start, back)
		w.recovered(tr, chats, lobby, false)
	})
}

// admin executes a command as the administrator of the store.
func (w *world) admin(args ...any) {
	w.Helper()
	if err := w.store.Do(w.ctx(), args...).Err(); err != nil {
		w.Fatalf("%v: %v", args, err)
	}
}

// guarded starts servers that must log in to Redis, and traffic.
func (w *world) guarded(s scale) (chats []*server, lobby *server, tr *traffic) {
	w.Helper()
	w.admin("acl", "setuser", "app", "on", ">s3cret", "~*", "&*", "+@all")
	url := "REDIS_URL=redis://app:s3cret@" + w.redis.Addr()
	chats, lobby = []*server{w.startChat(url), w.startChat(url)}, w.startLobby(url)
	s.chats = max(10, s.chats/3)
	return chats, lobby, w.talk(s)
}

// recovered checks that everything is as before.
func (w *world) recovered(tr *traffic, chats []*server, lobby *server, refused bool) {
	w.Helper()
	waiting := w.waiters(3, chats...)
	w.shows("after all", 10*time.Second, w.watchers(waiting), waiting)
	total := tr.settle(15 * time.Second)
	if refused && total.refusals == 0 {
		w.Error("no message was refused")
	}
	if want := 2 * len(tr.chats); total.sockets != want {
		w.Errorf("%d sockets for %d participants: it has cost some", total.sockets, want)
	}
	servers := append(chats, lobby)
	for _, s := range servers {
		eventually(w.T, 5*time.Second, "ready", func() bool { return s.status("/readyz") == http.StatusOK })
	}
	w.alive(servers...)
}

// fill gives Redis data to load.
func (w *world) fill(entries int) {
	w.Helper()
	const piece = 20_000
	script := redis.NewScript("for i = 1, tonumber(ARGV[1]) do redis.call('incr', KEYS[1]) end return 1")
	for range entries / piece {
		if err := script.Run(w.ctx(), w.store, []string{"something"}, piece).Err(); err != nil {
			w.Fatal(err)
		}
	}
}

// count asks Redis again and again, and counts one answer, until the returned function is
// called.
func (w *world) count(answer string) func() int {
	ctx, stop := context.WithCancel(w.Context())
	var asking sync.WaitGroup
	n := 0
	client := redis.NewClient(&redis.Options{Addr: w.redis.Addr(), MaxRetries: -1, DisableIdentity: true, Protocol: 2})
	asking.Go(func() {
		defer client.Close()
		for ctx.Err() == nil {
			if err := client.Get(ctx, "something").Err(); err != nil && strings.HasPrefix(err.Error(), answer) {
				n++
			}
			wait(ctx, 20*time.Millisecond)
		}
	})
	return func() int {
		stop()
		asking.Wait()
		return n
	}
}

// killSome closes one connection of the servers, and sometimes all.
func (w *world) killSome() int {
	w.Helper()
	if rand.IntN(20) == 0 {
		return int(w.store.Do(w.ctx(), "client", "kill", "user", "app").Val().(int64))
	}
	var ids []string
	for line := range strings.Lines(w.store.ClientList(w.ctx()).Val()) {
		if strings.Contains(line, " user=app ") {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return 0
	}
	return int(w.store.ClientKillByFilter(w.ctx(), "id", ids[rand.IntN(len(ids))]).Val())
}
