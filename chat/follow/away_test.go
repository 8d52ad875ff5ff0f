package follow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
	"livesupport/chat/follow"
	"livesupport/chat/log"

	"github.com/redis/go-redis/v9"
)

// nobody is the answer of a listener that is unavailable.
func nobody(string) error { return fmt.Errorf("refused: %w", follow.ErrAway) }

// onRedisServer starts a Redis that counts commands.
func onRedisServer(t testing.TB) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(brokertest.StartRedisServer(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func openStore(t testing.TB, client *redis.Client) *redisdb.DB {
	t.Helper()
	db, err := redisdb.Open("redis://"+client.Options().Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.AwaitTime(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

var commandCalls = regexp.MustCompile(`cmdstat_([a-z|]+):calls=(\d+)`)

// calls returns how often the store has executed each command since the last reset.
func calls(t testing.TB, client *redis.Client) map[string]int {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]int{}
	for _, m := range commandCalls.FindAllStringSubmatch(info, -1) {
		counted[m[1]], _ = strconv.Atoi(m[2])
	}
	return counted
}

// counts calls f, waits for a second, and returns how often the store has executed each command.
func counts(t testing.TB, client *redis.Client, f func()) map[string]int {
	t.Helper()
	if err := client.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	f()
	time.Sleep(time.Second) // nothing should happen, so there is nothing to wait for
	return calls(t, client)
}

// noLook prevents the regular check of all live chats.
func (s *store) noLook() {
	s.Helper()
	if err := s.client.ZAdd(s.Context(), "chat:{follow}:look", redis.Z{Score: 1e15, Member: "all"}).Err(); err != nil {
		s.Fatal(err)
	}
}

// A message to a chat that is known to wait for its listener costs the store nothing, whether the
// listener is unavailable, has asked for a pause, wants no further events, or refuses this chat's.
func TestWaitingChatsCostNothing(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(string) error
		chats  int
	}{
		"away":    {nobody, 40},
		"busy":    {func(string) error { return &follow.BusyError{After: time.Hour, Err: errors.New("busy")} }, 40},
		"stopped": {func(string) error { return follow.ErrStopped }, 40},
		"failing": {func(string) error { return errors.New("no") }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := onRedisServer(t)
			s := &store{t, openStore(t, client), log.Store{}, client}
			s.logs = log.NewStore(s.db, time.Minute, 24*time.Hour)
			s.noLook()
			l := newListener("webhook")
			l.answer = test.answer
			f := s.listen(s.logs, []follow.Listener{l})
			var ids []string
			for i := range test.chats {
				ids = append(ids, fmt.Sprint("chat-", i))
				s.create(ids[i], 0)
				s.say(ids[i], 0)
			}
			tell := func() {
				for range 500 {
					for _, id := range ids {
						f.Appended(id)
					}
					time.Sleep(time.Millisecond) // so that not all are reported together
				}
			}
			tell()
			waits := func() bool {
				size := int(client.ZCard(t.Context(), "chat:{follow}:webhook:due").Val())
				for _, z := range client.ZRangeWithScores(t.Context(), "chat:{follow}:webhook:due", 0, -1).Val() {
					// The next tries are after the test.
					if name == "failing" && int64(z.Score) < s.db.Now().Add(5*time.Second).UnixMilli() {
						return false
					}
				}
				return size == test.chats
			}
			s.eventually("all wait", waits)
			if name != "failing" {
				s.eventually("it is tried no more", func() bool {
					f.Appended(ids[0])
					return counts(t, client, tell)["zscore"] == 0
				})
			}
			var tries int
			l.set(func() { tries = len(l.tries) })
			got := counts(t, client, tell)
			l.set(func() { tries = len(l.tries) - tries })
			t.Logf("%d messages, %d tries: %v", 500*len(ids), tries, got)
			tries++ // one may have begun before
			for _, command := range []string{"zscore", "lrange", "hmget", "hset", "llen", "zrem"} {
				most := tries // a try reads its chat and puts it off
				if command == "zscore" {
					most += test.chats // once more each, when the pause is over with which it was put off
				}
				if got[command] > most {
					t.Errorf("%s was executed %d times", command, got[command])
				}
			}
			total := 0
			for _, n := range got {
				total += n
			}
			if total > 200 { // what is done each second whatever happens is some twenty
				t.Errorf("%d commands: %v", total, got)
			}
		})
	}
}

// While a listener is unavailable few of its chats are tried. When it is back all are.
func TestListenerIsAway(t *testing.T) {
	onEachStore(t, func(s *store) {
		const chats, messages = 100, 3
		l := newListener("webhook")
		l.answer = nobody
		f := s.listen(s.longLived(), []follow.Listener{l})
		var ids []string
		for i := range chats {
			ids = append(ids, fmt.Sprint("chat-", i, "."))
			s.create(ids[i], 0)
		}
		say := func(n int) {
			for _, id := range ids {
				s.say(id, n)
				f.Appended(id)
			}
		}
		say(0)
		s.eventually("all wait", func() bool { return s.client.ZCard(s.Context(), "chat:{follow}:webhook:due").Val() == chats })
		for n := 1; n < messages; n++ {
			say(n)
			time.Sleep(time.Second)
		}
		l.set(func() {
			if len(l.tries) > 80 { // those in progress, and a few checks
				s.Errorf("%d tries", len(l.tries))
			}
			l.answer = nil
		})
		for _, id := range ids {
			var got []string
			s.eventually("all of "+id, func() bool { got = l.of(id); return len(got) == messages })
			if want := expected(id, messages); !slices.Equal(got, want) {
				s.Fatalf("%q, want %q", got, want)
			}
		}
		s.eventually("nothing waits", func() bool { return s.client.ZCard(s.Context(), "chat:{follow}:webhook:due").Val() == 0 })
		s.say(ids[0], messages)
		f.Appended(ids[0])
		s.eventually("one more", func() bool { return len(l.of(ids[0])) == messages+1 })
	})
}

// If only one process cannot reach a listener, another one sends that process's events.
func TestListenerIsAwayForOne(t *testing.T) {
	onEachStore(t, func(s *store) {
		const chats, messages = 30, 60
		s.noLook()
		logs := s.longLived()
		cut, good := newListener("webhook"), newListener("webhook")
		cut.answer = nobody
		f := s.listen(logs, []follow.Listener{cut})
		var ids []string
		for i := range chats {
			ids = append(ids, fmt.Sprint("chat-", i, "."))
			s.create(ids[i], 0)
			s.say(ids[i], 0)
			f.Appended(ids[i])
		}
		s.eventually("all wait", func() bool { return s.client.ZCard(s.Context(), "chat:{follow}:webhook:due").Val() == chats })
		s.listen(logs, []follow.Listener{good})
		for n := 1; n < messages; n++ {
			s.say(ids[n%chats], n)
			f.Appended(ids[n%chats])
			time.Sleep(20 * time.Millisecond)
		}
		s.eventually("the other one has all", func() bool { good.mu.Lock(); defer good.mu.Unlock(); return len(good.got) >= chats+messages-1 })
		good.set(func() {
			if len(good.got) != chats+messages-1 {
				s.Errorf("%d events", len(good.got))
			}
		})
	})
}

// Events for an unavailable listener are dropped and counted in time, though few are tried.
func TestListenerIsAwayForLong(t *testing.T) {
	onEachStore(t, func(s *store) {
		const chats = 40
		s.logs = log.NewStore(s.db, ttl, 16*time.Second)
		l := newListener("webhook")
		l.answer = nobody
		f := s.listen(s.logs, []follow.Listener{l})
		for i := range chats {
			s.create(fmt.Sprint("chat-", i), 1)
			f.Appended(fmt.Sprint("chat-", i))
		}
		var dropped float64
		s.eventually("all are dropped", func() bool {
			dropped = counted(s, f, "livesupport_webhook_dropped_total")
			return dropped == 2*chats && len(s.keys("chat-")) == 0
		})
	})
}

// BenchmarkFollowing counts the commands of the store that a message costs because of a listener.
func BenchmarkFollowing(b *testing.B) {
	for name, answer := range map[string]func(string) error{"alive": nil, "away": nobody} {
		b.Run(name, func(b *testing.B) {
			client := onRedisServer(b)
			db := openStore(b, client)
			logs := log.NewStore(db, time.Minute, time.Hour)
			l := newListener("webhook")
			l.answer = answer
			f := follow.New(follow.Config{DB: db, Logs: logs, Listeners: []follow.Listener{l}, Log: slog.New(slog.DiscardHandler)})
			defer f.Close()
			const chats = 500
			for i := range chats {
				e := log.Event{Kind: log.Registered, At: 1, UserID: "u", Username: "Nika", ChatID: fmt.Sprint("chat-", i)}
				if err := logs.Create(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
			ctx := context.Background()
			say := func(n int) {
				id := fmt.Sprint("chat-", n%chats)
				e := log.Event{Kind: log.Messaged, ID: fmt.Sprint(n), At: db.Now().UnixMicro(), From: log.RoleUser, Content: "hello"}
				said := make(chan struct{})
				logs.Append(time.Now().Add(5*time.Second), id, e.Kind, e.Encode(), nil, func(int64, error) { close(said) })
				<-said
				f.Appended(id)
			}
			for n := range chats {
				say(n)
			}
			if err := client.ConfigResetStat(ctx).Err(); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for n := range b.N {
				say(n)
			}
			b.StopTimer()
			total := 0
			for command, n := range calls(b, client) {
				if command != "rpushx" {
					total += n
				}
			}
			b.ReportMetric(float64(total-b.N)/float64(b.N), "commands/op") // without the append's pexpire
		})
	}
}
