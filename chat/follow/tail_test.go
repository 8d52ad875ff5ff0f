package follow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/chat/follow"
	"livesupport/chat/log"

	"github.com/prometheus/client_golang/prometheus"
)

// listener takes one event for each message, and one for the end.
type listener struct {
	name string

	mu     sync.Mutex
	answer func(id string) error // of a try; nil is nil
	tries  []time.Time
	got    []string            // ids, in order, repetitions too
	now    map[string]struct{} // chats of which an event is under way
	wrong  string
}

func newListener(name string) *listener { return &listener{name: name, now: map[string]struct{}{}} }

func (l *listener) Name() string { return l.name }

func (l *listener) Events(e follow.Entry) []follow.Event {
	id := fmt.Sprint(e.ChatID, " ", e.Position)
	switch e.Event.Kind {
	case log.Messaged:
		if got := e.State.LastMessage().Content; got != e.Event.Content {
			l.set(func() { l.wrong = "the message reads " + got })
		}
		return []follow.Event{{ID: id, At: e.At}}
	case log.Left:
		return []follow.Event{{ID: id + " " + e.Event.Content, At: e.At}}
	case log.Ended:
		return []follow.Event{{ID: id + " end", At: e.At}}
	}
	return nil
}

func (l *listener) Send(ctx context.Context, e follow.Event) error {
	chat, _, _ := strings.Cut(e.ID, " ")
	l.mu.Lock()
	if _, two := l.now[chat]; two {
		l.wrong = "two events of a chat at a time: " + e.ID
	}
	l.now[chat] = struct{}{}
	answer := l.answer
	l.tries = append(l.tries, time.Now())
	l.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(e.ID)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.now, chat)
	if err == nil {
		l.got = append(l.got, e.ID)
	}
	return err
}

func (l *listener) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// of returns the distinct events of a chat, in the order in which they first came.
func (l *listener) of(chat string) (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range l.got {
		if strings.HasPrefix(id, chat+" ") && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (s *store) listen(logs log.Store, listeners []follow.Listener, receivers ...follow.Receiver) *follow.Follower {
	f := follow.New(follow.Config{DB: s.db, Logs: logs, Receivers: receivers, Listeners: listeners, Log: slog.New(slog.DiscardHandler)})
	s.Cleanup(func() {
		if err := f.Close(); err != nil {
			s.Error(err)
		}
		for _, l := range listeners {
			if l, ok := l.(*listener); ok && l.wrong != "" {
				s.Error(l.wrong)
			}
		}
	})
	return f
}

// say appends a message of now.
func (s *store) say(chat string, n int) {
	s.Helper()
	s.append(chat, log.Event{
		Kind: log.Messaged, ID: fmt.Sprint(chat, n), At: s.db.Now().UnixMicro(), From: log.RoleUser, Content: fmt.Sprint("message ", n),
	})
}

func expected(chat string, messages int) (ids []string) {
	for i := range messages {
		ids = append(ids, fmt.Sprint(chat, " ", i+2))
	}
	return ids
}

// longLived makes chats that do not end by themselves during a test.
func (s *store) longLived() log.Store {
	s.logs = log.NewStore(s.db, time.Minute, grace)
	return s.logs
}

// Several processes append to chats and follow them, for listeners that fail at random. Each event
// comes at least once, in order, and one at a time.
func TestListeners(t *testing.T) {
	onEachStore(t, func(s *store) {
		const chats, messages = 30, 20
		steady, moody := newListener("steady"), newListener("moody")
		moody.answer = func(string) error {
			if rand.IntN(20) == 0 {
				return errors.New("not now")
			}
			return nil
		}
		logs := s.longLived()
		var processes []*follow.Follower
		for range 3 {
			processes = append(processes, s.listen(logs, []follow.Listener{steady, moody}))
		}
		var writers sync.WaitGroup
		for c := range chats {
			id := fmt.Sprint("chat-", c)
			s.create(id, 0)
			writers.Go(func() {
				for i := range messages {
					s.say(id, i)
					processes[rand.IntN(len(processes))].Appended(id)
					time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
				}
			})
		}
		writers.Wait()
		for _, l := range []*listener{steady, moody} {
			for c := range chats {
				id := fmt.Sprint("chat-", c)
				var got []string
				s.eventually(l.name+" has all of "+id, func() bool { got = l.of(id); return len(got) == messages })
				if want := expected(id, messages); !slices.Equal(got, want) {
					s.Fatalf("%s got\n%q, want\n%q", l.name, got, want)
				}
			}
		}
		steady.set(func() {
			if n := len(steady.got); n != chats*messages {
				s.Errorf("%d events for %d: some twice, though nothing has failed", n, chats*messages)
			}
		})
		s.eventually("nothing waits", func() bool { return s.client.ZCard(s.Context(), "chat:{follow}:moody:due").Val() == 0 })
	})
}

// No server reports these entries.
func TestListenersLook(t *testing.T) {
	onEachStore(t, func(s *store) {
		logs := s.longLived()
		s.create("long", 0)
		for i := range 600 {
			s.say("long", i)
		}
		l := newListener("webhook")
		s.listen(logs, []follow.Listener{l})
		s.eventually("all are found", func() bool { return len(l.of("long")) == 600 })
		if got := l.of("long"); !slices.Equal(got, expected("long", 600)) {
			s.Fatal(got)
		}
		s.eventually("the cursor is there", func() bool {
			return s.client.HGet(s.Context(), "chat:{long}:cursors", "webhook").Val() == "601"
		})
	})
}

// The end of a chat is reported, and its log is deleted when everybody has it.
func TestListenerAndReceiver(t *testing.T) {
	onEachStore(t, func(s *store) {
		l, r := newListener("webhook"), newReceiver("archive")
		r.away = true
		s.listen(s.logs, []follow.Listener{l}, r)
		s.create("chat-1", 1)
		want := append(expected("chat-1", 1), "chat-1 3 end")
		s.eventually("the end", func() bool { return slices.Equal(l.of("chat-1"), want) })
		if !slices.Contains(s.keys("chat-1"), s.logs.EndedKey("chat-1")) {
			s.Fatal("the log has gone before the archive had it")
		}
		r.set(func(r *receiver) { r.away = false })
		s.eventually("nothing is left", func() bool { return r.has("chat-1") && len(s.keys("chat-1")) == 0 })
		l.set(func() {
			if len(l.got) != 2 {
				s.Error(l.got)
			}
		})
	})
}

// An event that is not accepted is tried again after longer and longer pauses. It holds up only its
// own chat.
func TestListenerFails(t *testing.T) {
	onEachStore(t, func(s *store) {
		l := newListener("webhook")
		l.answer = func(id string) error {
			if strings.HasPrefix(id, "bad ") {
				return errors.New("no")
			}
			return nil
		}
		f := s.listen(s.longLived(), []follow.Listener{l})
		for _, id := range []string{"bad", "good"} {
			s.create(id, 0)
			s.say(id, 0)
			s.say(id, 1)
			f.Appended(id)
		}
		s.eventually("the other chat's come", func() bool { return len(l.of("good")) == 2 })
		var tries []time.Time
		s.eventually("three tries", func() bool {
			l.set(func() { tries = slices.Clone(l.tries) })
			return len(tries) >= 5 // two of them of the other chat
		})
		tries = tries[len(tries)-3:]
		first, second := tries[1].Sub(tries[0]), tries[2].Sub(tries[1])
		if first < time.Second || first > 5*time.Second || second < first*3/2 || second > first*3 {
			s.Errorf("pauses of %v and %v", first, second)
		}
		f.Appended("bad") // which does not have it tried before its time
		l.set(func() { l.answer = nil })
		s.eventually("it is taken, in order", func() bool { return slices.Equal(l.of("bad"), expected("bad", 2)) })
	})
}

// An event that is too old to be tried again is dropped and counted, and the events behind it go
// on.
func TestListenerGivesUp(t *testing.T) {
	onEachStore(t, func(s *store) {
		l := newListener("webhook")
		l.answer = func(id string) error {
			if id == "chat-1 2" {
				return errors.New("no")
			}
			return nil
		}
		logs := s.longLived()
		s.create("chat-1", 0)
		s.append("chat-1", log.Event{
			Kind: log.Messaged, ID: "old", At: s.db.Now().Add(-24 * time.Hour).UnixMicro(), From: log.RoleUser, Content: "old",
		})
		s.say("chat-1", 1)
		f := s.listen(logs, []follow.Listener{l})
		s.eventually("the next one", func() bool { return slices.Equal(l.of("chat-1"), []string{"chat-1 3"}) })
		if n := counted(s, f, "livesupport_webhook_dropped_total"); n != 1 {
			s.Errorf("%v dropped", n)
		}
	})
}

// A log that will be gone before the next try is finished now.
func TestListenerOfALogThatEnds(t *testing.T) {
	onEachStore(t, func(s *store) {
		s.logs = log.NewStore(s.db, ttl, 12*time.Second)
		l := newListener("webhook")
		l.answer = func(string) error { return errors.New("no") }
		s.create("chat-1", 0)
		s.say("chat-1", 0)
		f := s.listen(s.logs, []follow.Listener{l})
		s.eventually("both are dropped", func() bool { return counted(s, f, "livesupport_webhook_dropped_total") == 2 })
		s.eventually("nothing is left", func() bool { return len(s.keys("chat-1")) == 0 })
	})
}

// If a listener asks for a pause, it gets one for all chats.
func TestListenerIsBusy(t *testing.T) {
	onEachStore(t, func(s *store) {
		l := newListener("webhook")
		l.answer = func(string) error { return &follow.BusyError{After: 3 * time.Second, Err: errors.New("busy")} }
		f := s.listen(s.longLived(), []follow.Listener{l})
		s.create("one", 0)
		s.create("two", 0)
		s.say("one", 0)
		f.Appended("one")
		s.eventually("a try", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.tries) == 1 })
		began := time.Now()
		l.set(func() { l.answer = nil })
		s.say("two", 0)
		f.Appended("two")
		s.eventually("both", func() bool { return len(l.of("one"))+len(l.of("two")) == 2 })
		if took := time.Since(began); took < 2500*time.Millisecond {
			s.Error(took)
		}
	})
}

// If a listener wants no more events, this process leaves it alone.
func TestListenerStops(t *testing.T) {
	onEachStore(t, func(s *store) {
		l, other := newListener("webhook"), newListener("other")
		l.answer = func(string) error { return fmt.Errorf("gone: %w", follow.ErrStopped) }
		logs := s.longLived()
		f := s.listen(logs, []follow.Listener{l, other})
		s.create("chat-1", 0)
		for i := range 3 {
			s.say("chat-1", i)
			f.Appended("chat-1")
		}
		s.eventually("the other's", func() bool { return len(other.of("chat-1")) == 3 })
		time.Sleep(2 * time.Second)
		l.set(func() {
			if len(l.tries) != 1 {
				s.Errorf("%d tries", len(l.tries))
			}
			l.answer = nil
		})
		s.listen(logs, []follow.Listener{l, other}) // as after a restart
		s.eventually("all", func() bool { return slices.Equal(l.of("chat-1"), expected("chat-1", 3)) })
	})
}

// A message that was left is reported when it has been stored, and only then; also if the process
// that stored it died before it could report it.
func TestListenersHearOfLeftMessages(t *testing.T) {
	onEachStore(t, func(s *store) {
		l, r := newListener("webhook"), newReceiver("archive")
		f := s.listen(s.longLived(), []follow.Listener{l}, r)
		err := f.Left(s.Context(), "left-1", []byte("{}"), func(context.Context) error {
			if len(l.of("left-1")) > 0 || len(s.keys("left-1")) != 1 {
				s.Error("too early")
			}
			return nil
		})
		if err != nil {
			s.Fatal(err)
		}
		s.eventually("it is told", func() bool { return slices.Equal(l.of("left-1"), []string{"left-1 1 {}"}) })
		s.eventually("nothing is left", func() bool { return len(s.keys("left-1")) == 0 })
		if err := f.Left(s.Context(), "left-2", []byte("{}"), func(context.Context) error { return follow.ErrAway }); !errors.Is(err, follow.ErrAway) {
			s.Fatal(err)
		}
		died, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			_ = f.Left(s.Context(), "left-3", []byte("{}"), func(context.Context) error { <-died; return nil })
		}()
		s.eventually("it is told of", func() bool { return len(l.of("left-3")) == 1 })
		close(died)
		<-ended
		if len(l.of("left-2")) > 0 || len(s.keys("left-2")) > 0 {
			s.Error("one that was not kept is told of")
		}
	})
}

// counted returns the value of a counter or gauge.
func counted(s *store, f *follow.Follower, name string) float64 {
	s.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(f.Metrics()...)
	families, err := registry.Gather()
	if err != nil {
		s.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	s.Fatalf("no %s", name)
	return 0
}
