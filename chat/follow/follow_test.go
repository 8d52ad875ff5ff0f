package follow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
	"livesupport/chat/follow"
	"livesupport/chat/log"

	"github.com/redis/go-redis/v9"
)

const (
	ttl   = 500 * time.Millisecond
	grace = time.Minute
)

// receiver keeps what it gets.
type receiver struct {
	name string

	mu     sync.Mutex
	away   bool
	poison string // the chat that it does not take
	got    map[string][]string
	times  map[string]int
}

func newReceiver(name string) *receiver {
	return &receiver{name: name, got: map[string][]string{}, times: map[string]int{}}
}

func (r *receiver) Name() string { return r.name }

func (r *receiver) Take(_ context.Context, logs []follow.Log) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return fmt.Errorf("gone fishing: %w", follow.ErrAway)
	}
	for _, l := range logs {
		if l.ChatID == r.poison {
			return errors.New("cannot be taken")
		}
	}
	for _, l := range logs {
		r.got[l.ChatID] = l.Entries
		r.times[l.ChatID]++
	}
	return nil
}

func (r *receiver) set(f func(*receiver)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

func (r *receiver) has(chatID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got[chatID] != nil
}

// store is a Redis and its logs.
type store struct {
	*testing.T
	db     *redisdb.DB
	logs   log.Store
	client *redis.Client
}

func onEachStore(t *testing.T, test func(s *store)) {
	t.Helper()
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) string{
		"embedded":     func(t *testing.T) string { return brokertest.StartEmbeddedRedis(t).URL() },
		"redis-server": func(t *testing.T) string { return brokertest.StartRedisServer(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := start(t)
			db, err := redisdb.Open(url, nil, redisdb.WithTrial(log.Trial), redisdb.WithTrial(follow.Trial))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			options, err := redis.ParseURL(url)
			if err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(options)
			t.Cleanup(func() { _ = client.Close() })
			if err := db.AwaitTime(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := &store{t, db, log.NewStore(db, ttl, grace), client}
			s.eventually("the store is ready", func() bool { return db.Ready() == nil })
			test(s)
		})
	}
}

func (s *store) follow(receivers ...follow.Receiver) *follow.Follower {
	f := follow.New(follow.Config{DB: s.db, Logs: s.logs, Receivers: receivers, Log: slog.New(slog.DiscardHandler)})
	s.Cleanup(func() {
		if err := f.Close(); err != nil {
			s.Error(err)
		}
	})
	return f
}

func (s *store) eventually(what string, holds func() bool) {
	s.Helper()
	for deadline := time.Now().Add(15 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("still not: %s", what)
		}
	}
}

// create makes a chat with that many messages.
func (s *store) create(id string, messages int) {
	s.Helper()
	if err := s.logs.Create(s.Context(), log.Event{Kind: log.Registered, At: 1, UserID: "u", Username: "Nika", ChatID: id}); err != nil {
		s.Fatal(err)
	}
	for i := range messages {
		s.append(id, log.Event{Kind: log.Messaged, ID: fmt.Sprint(i), At: 2, From: log.RoleUser, Content: fmt.Sprint("message ", i)})
	}
}

// append appends an entry and returns its position; 0 if the chat is gone.
func (s *store) append(id string, e log.Event) int64 {
	s.Helper()
	result := make(chan int64, 1)
	s.logs.Append(time.Now().Add(5*time.Second), id, e.Kind, e.Encode(), nil, func(seq int64, err error) {
		if err != nil {
			s.Error(err)
		}
		result <- seq
	})
	return <-result
}

// keys returns the keys that name a chat.
func (s *store) keys(id string) []string {
	s.Helper()
	keys, err := s.client.Keys(s.Context(), "*"+id+"*").Result()
	if err != nil {
		s.Fatal(err)
	}
	return keys
}

func (s *store) end(ids ...string) []time.Duration {
	s.Helper()
	rest, err := s.logs.End(s.Context(), ids)
	if err != nil {
		s.Fatal(err)
	}
	return rest
}

func TestEnd(t *testing.T) {
	onEachStore(t, func(s *store) {
		s.create("living", 1)
		if rest := s.end("living", "nobody"); rest[0] <= 0 || rest[0] > ttl || rest[1] != 0 {
			s.Fatal(rest)
		}
		time.Sleep(ttl / 2)
		if seq := s.append("living", log.Event{Kind: log.Rated, Score: 5}); seq != 3 {
			s.Fatal(seq)
		}
		if rest := s.end("living"); rest[0] > ttl/2+100*time.Millisecond {
			s.Fatalf("a rating has renewed it: %v", rest)
		}
		s.eventually("its end", func() bool { return s.end("living")[0] == 0 })
		if seq := s.append("living", log.Event{Kind: log.Messaged}); seq != 0 {
			s.Fatalf("an entry at %d behind the end", seq)
		}
		if _, _, err := s.logs.Load(s.Context(), "living"); !errors.Is(err, log.ErrGone) {
			s.Fatal(err)
		}
		kept, err := s.client.LRange(s.Context(), s.logs.EndedKey("living"), 0, -1).Result()
		if err != nil || len(kept) != 4 {
			s.Fatal(kept, err)
		}
		if e := log.Decode([]byte(kept[3])); e.Kind != log.Ended || time.Since(time.UnixMicro(e.At)).Abs() > 10*time.Second {
			s.Fatalf("%+v", e)
		}
		if rest := s.end("living"); rest[0] != 0 {
			s.Fatal(rest)
		}
		if life := s.client.PTTL(s.Context(), s.logs.EndedKey("living")).Val(); life < grace-10*time.Second || life > grace {
			s.Fatal(life)
		}

		// During an upgrade, a server that knows nothing of the grace renews a chat.
		s.create("mixed", 1)
		if err := s.client.PExpire(s.Context(), s.logs.Key("mixed"), ttl).Err(); err != nil {
			s.Fatal(err)
		}
		if rest := s.end("mixed"); rest[0] <= 0 || rest[0] > ttl {
			s.Fatal(rest)
		}
		s.eventually("the end of the other", func() bool { return s.end("mixed")[0] == 0 })
		if s.client.LLen(s.Context(), s.logs.EndedKey("mixed")).Val() != 3 {
			s.Fatal("it is not kept")
		}
	})
}

// No server reports the end of these chats. They are handed over all the same, and disappear from
// the store.
func TestChatsThatNobodyEnds(t *testing.T) {
	onEachStore(t, func(s *store) {
		r := newReceiver("archive")
		ids := []string{}
		for i := range 150 {
			ids = append(ids, fmt.Sprint("chat-", i))
			s.create(ids[i], 1)
		}
		s.create("long", 4500)
		s.follow(r)
		s.follow(r)
		for _, id := range append(ids, "long") {
			s.eventually(id, func() bool { return r.has(id) && len(s.keys(id)) == 0 })
		}
		s.eventually("nothing is left", func() bool { return len(s.keys("")) == 0 })
		if got := r.got["long"]; len(got) != 4502 || !strings.Contains(got[4500], `message 4499"`) {
			s.Fatalf("%d entries", len(got))
		}
		twice := 0
		for _, n := range r.times {
			twice += n - 1
		}
		if twice > 0 {
			s.Errorf("%d handed over again", twice)
		}
	})
}

func TestReceiverAway(t *testing.T) {
	onEachStore(t, func(s *store) {
		r := newReceiver("archive")
		r.away = true
		f := s.follow(r)
		s.create("chat-1", 2)
		s.eventually("the end", func() bool {
			rest, err := f.End(s.Context(), []string{"chat-1"})
			return err == nil && rest[0] == 0
		})
		time.Sleep(2 * time.Second)
		if r.has("chat-1") || len(s.keys("chat-1")) != 1 {
			s.Fatalf("while it is away: %v", s.keys("chat-1"))
		}
		r.set(func(r *receiver) { r.away = false })
		s.eventually("it is handed over", func() bool { return r.has("chat-1") && len(s.keys("chat-1")) == 0 })
	})
}

func TestLogThatIsNotTaken(t *testing.T) {
	onEachStore(t, func(s *store) {
		r := newReceiver("archive")
		r.poison = "poison"
		s.create("before", 1)
		s.create("poison", 1)
		s.create("behind", 1)
		s.follow(r)
		for _, id := range []string{"before", "behind"} {
			s.eventually(id, func() bool { return r.has(id) })
		}
		if keys := s.keys("poison"); !slices.Contains(keys, s.logs.EndedKey("poison")) {
			s.Fatal(keys)
		}
		r.set(func(r *receiver) { r.poison = "" })
		s.eventually("it is tried again", func() bool { return r.has("poison") })
	})
}

// A log is deleted when all receivers have it.
func TestTwoReceivers(t *testing.T) {
	onEachStore(t, func(s *store) {
		one, two := newReceiver("archive"), newReceiver("webhook")
		two.away = true
		s.follow(one, two)
		s.create("chat-1", 1)
		s.eventually("one has it", func() bool { return one.has("chat-1") })
		time.Sleep(time.Second)
		if !slices.Contains(s.keys("chat-1"), s.logs.EndedKey("chat-1")) {
			s.Fatal("it has been deleted before the other had it")
		}
		two.set(func(r *receiver) { r.away = false })
		s.eventually("both have it", func() bool { return two.has("chat-1") && len(s.keys("chat-1")) == 0 })
	})
}
