package follow_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/chat/follow"
	"livesupport/chat/log"
	"livesupport/chat/webhook"

	"github.com/redis/go-redis/v9"
)

// dropper gets the events of webhooks, and drops those whose ids it knows.
type dropper struct {
	mu    sync.Mutex
	away  bool
	known map[string]bool
	got   map[string][]string // by chat: the contents of messages, and "expired"
	again int
}

func newDropper() *dropper { return &dropper{known: map[string]bool{}, got: map[string][]string{}} }

func (d *dropper) Name() string { return "dropper" }

func (d *dropper) Events(e follow.Entry) []follow.Event { return webhook.Events(e) }

func (d *dropper) Send(_ context.Context, e follow.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away {
		return errors.New("not now")
	}
	if d.known[e.ID] {
		d.again++
		return nil
	}
	d.known[e.ID] = true
	what := "expired"
	if _, after, message := strings.Cut(string(e.Body), `"content":"`); message {
		what, _, _ = strings.Cut(after, `"`)
	}
	chat, _, _ := strings.Cut(e.ID, "-")
	d.got[chat] = append(d.got[chat], what)
	return nil
}

func (d *dropper) set(away bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = away
}

// gets waits until the dropper has just this of a chat.
func (d *dropper) gets(s *store, chat string, want ...string) {
	s.Helper()
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		d.mu.Lock()
		got := slices.Clone(d.got[chat])
		d.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("of %s it has got %q, want %q", chat, got, want)
		}
	}
}

// write appends messages with these contents.
func (s *store) write(chat string, contents ...string) {
	s.Helper()
	for _, c := range contents {
		s.append(chat, log.Event{Kind: log.Messaged, ID: "id of " + c, At: s.db.Now().UnixMicro(), From: log.RoleUser, Content: c})
	}
}

// loses makes the store lose the end of a chat's log, and not what is known of its listeners: a server that had
// read the end saves that when the store is back.
func (s *store) loses(chat string, entries int64) {
	s.Helper()
	if err := s.client.LTrim(s.Context(), s.logs.Key(chat), 0, -1-entries).Err(); err != nil {
		s.Fatal(err)
	}
}

// saved waits until the store knows that the dropper has so many entries.
func (s *store) saved(chat string, cursor int) {
	s.Helper()
	s.eventually("the cursor is saved", func() bool {
		at, err := s.client.HGet(s.Context(), s.logs.Key(chat)+":cursors", "dropper").Int()
		return err == nil && at == cursor
	})
}

// The store loses the end of logs, and they grow again: to fewer entries than before, to as many, to more. A listener
// that drops the ids that it knows gets all that is in the logs then.
func TestListenersOfLogsThatLostTheirEnd(t *testing.T) {
	onEachStore(t, func(s *store) {
		d := newDropper()
		f := s.listen(s.longLived(), []follow.Listener{d})
		logs := map[string][]string{"shorter": {"c"}, "equal": {"c", "d"}, "longer": {"c", "d", "e"}}
		for chat := range logs {
			s.create(chat, 0)
			s.write(chat, "1", "2", "a", "b")
			f.Appended(chat)
		}
		for chat, again := range logs {
			d.gets(s, chat, "1", "2", "a", "b")
			s.saved(chat, 5)
			s.loses(chat, 2)
			s.write(chat, again...)
			if chat != "shorter" { // which is found without a report
				f.Appended(chat)
			}
		}
		for chat, again := range logs {
			want := append([]string{"1", "2", "a", "b"}, again...)
			d.gets(s, chat, want...)
			s.saved(chat, 3+len(again))
			s.write(chat, "z")
			f.Appended(chat)
			d.gets(s, chat, append(want, "z")...)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if want := 2 * len(logs); d.again != want { // those before the loss, once
			s.Errorf("%d events came again, want %d", d.again, want)
		}
	})
}

// The same where nobody reports the new entries, and there are as many as before: their end tells.
func TestListenersOfAnEndedLogThatLostItsEnd(t *testing.T) {
	onEachStore(t, func(s *store) {
		d := newDropper()
		s.logs = log.NewStore(s.db, 3*time.Second, grace)
		s.create("one", 0)
		s.write("one", "1", "2", "a", "b")
		f := s.listen(s.logs, []follow.Listener{d})
		f.Appended("one")
		d.gets(s, "one", "1", "2", "a", "b")
		s.saved("one", 5)
		s.loses("one", 2)
		s.write("one", "c", "d")
		d.gets(s, "one", "1", "2", "a", "b", "c", "d", "expired")
		s.eventually("nothing is left", func() bool { return len(s.keys("one")) == 0 })
	})
}

// Another entry before a last one that is the same as before, because it was appended again after its answer was lost.
func TestListenersOfALogThatChangedWithin(t *testing.T) {
	onEachStore(t, func(s *store) {
		d := newDropper()
		s.logs = log.NewStore(s.db, 3*time.Second, grace)
		s.create("one", 0)
		s.write("one", "1", "a")
		last := log.Event{Kind: log.Messaged, ID: "last", At: s.db.Now().UnixMicro(), From: log.RoleUser, Content: "last"}
		s.append("one", last)
		f := s.listen(s.logs, []follow.Listener{d})
		f.Appended("one")
		d.gets(s, "one", "1", "a", "last")
		s.saved("one", 4)
		tx := s.client.TxPipeline() // at once, or a visit finds a log without the last entry
		b := log.Event{Kind: log.Messaged, ID: "b", At: s.db.Now().UnixMicro(), From: log.RoleUser, Content: "b"}
		tx.LTrim(s.Context(), s.logs.Key("one"), 0, 1)
		tx.RPush(s.Context(), s.logs.Key("one"), b.Encode(), last.Encode())
		if _, err := tx.Exec(s.Context()); err != nil {
			s.Fatal(err)
		}
		f.Appended("one")
		d.gets(s, "one", "1", "a", "last", "b", "last", "expired")
	})
}

// A log is kept until each listener has all of it, though one has had more entries of it before the store lost its end.
func TestLogThatLostItsEndIsKept(t *testing.T) {
	onEachStore(t, func(s *store) {
		d, r := newDropper(), newReceiver("archive")
		s.logs = log.NewStore(s.db, 2*time.Second, grace)
		s.create("one", 0)
		s.write("one", "1", "a", "b", "c")
		f := s.listen(s.logs, []follow.Listener{d}, r)
		f.Appended("one")
		d.gets(s, "one", "1", "a", "b", "c")
		s.saved("one", 5)
		d.set(true)
		s.loses("one", 3)
		s.write("one", "d")
		s.eventually("the archive has it", func() bool { return r.has("one") })
		time.Sleep(time.Second)
		d.set(false)
		d.gets(s, "one", "1", "a", "b", "c", "d", "expired")
		s.eventually("nothing is left", func() bool { return len(s.keys("one")) == 0 })
	})
}

// The master of a Cluster that has a chat loses that the chat has ended, and that of the receivers' lists does not.
func TestEndThatWasLost(t *testing.T) {
	onEachStore(t, func(s *store) {
		r := newReceiver("archive")
		r.away = true
		s.create("one", 2)
		before, err := s.client.LRange(s.Context(), s.logs.Key("one"), 0, -1).Result()
		if err != nil || len(before) != 3 {
			s.Fatal(before, err)
		}
		s.follow(r)
		s.eventually("the chat has ended, and is on the list", func() bool {
			_, err := s.client.ZScore(s.Context(), "chat:{follow}:deadlines", "one").Result()
			return errors.Is(err, redis.Nil) && s.client.Exists(s.Context(), s.logs.EndedKey("one")).Val() == 1
		})
		tx := s.client.TxPipeline()
		tx.Del(s.Context(), s.logs.EndedKey("one"))
		tx.RPush(s.Context(), s.logs.Key("one"), before)
		tx.PExpire(s.Context(), s.logs.Key("one"), grace-time.Second) // its time is over
		if _, err := tx.Exec(s.Context()); err != nil {
			s.Fatal(err)
		}
		r.set(func(r *receiver) { r.away = false })
		s.eventually("it is handed over", func() bool { return r.has("one") && len(s.keys("one")) == 0 })
	})
}
