package chat

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
	"livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/wire"

	"github.com/prometheus/client_golang/prometheus"
)

// The steps of a message, one by one and together. Those that need the store run
// on the redis-server that is installed; their times are mostly its own and the
// system's, their allocations ours.

var benchContent = strings.Repeat("x", 200)

const (
	benchUser    = "9d6d2db0cdb84d8ba67105670d94d641"
	benchSupport = "7c27f4a9b2c84f6e8d1a5b3c9e0f2a4d"
	benchChat    = "d2464b5386044daf9e36ffd414260f67"
)

func benchFrame(supportID string, from log.Role) []byte {
	return fmt.Appendf(nil, `{"type":"ChatMessage","args":{"userId":%q,"supportId":%q,"content":%q,"from":%q}}`,
		benchUser, supportID, benchContent, from)
}

func benchEvent(n int) log.Event {
	return log.Event{
		Kind: log.Messaged, ID: fmt.Sprintf("0123456789abcdef-%x", n), At: 1_700_000_000_000_000 + int64(n),
		From: log.RoleSupport, SupportID: benchSupport, Content: benchContent,
	}
}

// benchState is a chat with a support and some messages.
func benchState(messages int) log.State {
	var s log.State
	s.Apply(log.Event{Kind: log.Registered, UserID: benchUser, Username: "Nika", ChatID: benchChat})
	s.Apply(log.Event{Kind: log.SupportJoined, SupportID: benchSupport, SupportName: "Vika"})
	for n := range messages {
		s.Apply(benchEvent(n))
	}
	return s
}

// sink is a peer that takes everything.
type sink struct{ got atomic.Int64 }

func (s *sink) Queue([]byte)            { s.got.Add(1) }
func (s *sink) Flush()                  {}
func (s *sink) Heartbeat(time.Duration) {}
func (s *sink) Close(int, string)       {}

// webFrame costs what web.TextFrame does, which this package must not know.
func webFrame(payload []byte) []byte {
	b := make([]byte, 4, 10+len(payload))
	return append(b, payload...)
}

// benchService is a chat server on a Redis of its own.
func benchService(b *testing.B) *Service {
	b.Helper()
	logger := slog.New(slog.DiscardHandler)
	db, err := redisdb.Open(brokertest.StartRedisServer(b).URL(), logger)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	broker := newLossy(1)
	broker.reliable = true
	queue := lobby.NewQueue(lobby.QueueConfig{
		DB: db, Broker: broker, ChatTTL: time.Hour, ClaimTTL: time.Second, LeaveGrace: time.Second, Log: logger,
	})
	b.Cleanup(func() { queue.Close() })
	s := New(Config{
		DB: db, Broker: broker, Queue: queue, TTL: time.Hour, MaxMessages: log.MaxMessages, Frame: webFrame, Log: logger, Metrics: prometheus.NewRegistry(),
	})
	b.Cleanup(func() { s.Close() })
	for begin := time.Now(); db.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			b.Fatal("the store is not there")
		}
	}
	return s
}

// talk makes a chat in which a user and a support are. more goes into the args of their Joins.
func talk(b *testing.B, s *Service, more ...string) (u lobby.User, user, support *Session) {
	b.Helper()
	u, err := s.Register(b.Context(), Registration{Name: "Nika"})
	if err != nil {
		b.Fatal(err)
	}
	user, support = s.Connect(u.ChatID, &sink{}, nil), s.Connect(u.ChatID, &sink{}, nil)
	user.Receive(fmt.Appendf(nil, `{"type":"Join","args":{"userId":%q,"from":"User"%s}}`, u.UserID, strings.Join(more, "")), time.Now())
	support.Receive(fmt.Appendf(nil, `{"type":"Join","args":{"userId":%q,"from":"Support","supportUserName":"Vika"%s}}`, u.UserID, strings.Join(more, "")), time.Now())
	if user.room == nil || support.room == nil {
		b.Fatal("not joined")
	}
	b.Cleanup(func() {
		user.Closed()
		support.Closed()
	})
	return u, user, support
}

// BenchmarkDecode takes the frame of a ChatMessage apart.
func BenchmarkDecode(b *testing.B) {
	frame := benchFrame(benchSupport, log.RoleUser)
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		kind, raw, err := wire.Decode(frame)
		if err != nil || kind != kindChatMessage {
			b.Fatal(kind, err)
		}
		var args messageArgs
		if err := wire.DecodeArgs(raw, &args); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEvent is an entry of the log: written once, and read by every other
// server and at every Join on one that has not read it.
func BenchmarkEvent(b *testing.B) {
	e := benchEvent(1)
	entry := e.Encode()
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Encode()
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if log.Decode(entry).Kind != log.Messaged {
				b.Fatal("not decoded")
			}
		}
	})
}

// BenchmarkApply folds messages into chats of up to 1,000.
func BenchmarkApply(b *testing.B) {
	events := make([]log.Event, 1000)
	for n := range events {
		events[n] = benchEvent(n)
	}
	state := benchState(0)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if n == len(events) {
			state, n = benchState(0), 0
		}
		if state.Apply(events[n]) != log.Applied {
			b.Fatal("not applied")
		}
		n++
	}
}

// BenchmarkDeliver encodes a message, frames it and queues it to the two
// sessions of a chat.
func BenchmarkDeliver(b *testing.B) {
	r := &room{service: &Service{metrics: newMetrics(), frame: webFrame}, state: benchState(1)}
	for range 2 {
		r.sessions = append(r.sessions, &Session{peer: &sink{}})
	}
	m := r.state.LastMessage()
	b.ReportAllocs()
	for b.Loop() {
		r.deliver(m, nil)
	}
	for _, s := range r.sessions {
		if s.peer.(*sink).got.Load() == 0 {
			b.Fatal("nothing came")
		}
	}
}

// BenchmarkAppend puts entries into the logs of 100 chats, with up to so many
// under way at once: they share pipelines.
func BenchmarkAppend(b *testing.B) {
	s := benchService(b)
	var chats []string
	for range 100 {
		u, err := s.Register(b.Context(), Registration{Name: "Nika"})
		if err != nil {
			b.Fatal(err)
		}
		chats = append(chats, u.ChatID)
	}
	e := benchEvent(1)
	entry := e.Encode()
	for _, underWay := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("underway=%d", underWay), func(b *testing.B) {
			slots := make(chan struct{}, underWay)
			var failed atomic.Int64
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				slots <- struct{}{}
				n++
				s.logs.Append(time.Now().Add(storeTimeout), chats[n%len(chats)], log.Messaged, entry, nil, func(seq int64, err error) {
					if err != nil || seq == 0 {
						failed.Add(1)
					}
					<-slots
				})
			}
			for range underWay {
				slots <- struct{}{}
			}
			if failed.Load() > 0 {
				b.Fatal(failed.Load(), "appends failed")
			}
		})
	}
}

// BenchmarkMessage is the whole way of a message within a chat server, from the
// frame to the queues of both sides, in so many chats at once.
func BenchmarkMessage(b *testing.B) {
	frame := []byte(`{"type":"ChatMessage","args":{"content":"` + benchContent + `","from":"User"}}`)
	for _, chats := range []int{20, 200} { // each holds 10,000 messages
		b.Run(fmt.Sprintf("chats=%d", chats), func(b *testing.B) {
			s := benchService(b)
			var sides []*Session
			for range chats {
				_, user, support := talk(b, s)
				sides = append(sides, user, support)
			}
			count := func() (n int64) {
				for _, side := range sides {
					n += side.peer.(*sink).got.Load()
				}
				return n
			}
			before := count()
			turns := make(chan struct{})
			var senders sync.WaitGroup
			for i := 0; i < len(sides); i += 2 {
				senders.Go(func() {
					for range turns {
						sides[i].Receive(frame, time.Now())
					}
				})
			}
			n := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				turns <- struct{}{}
				n++
			}
			close(turns)
			senders.Wait()
			if got := count() - before; got != 2*n {
				b.Fatalf("%d messages, %d frames", n, got)
			}
		})
	}
}

// BenchmarkBegin is a registration and the Joins of both sides, from the frames to the queues of
// their sockets; 32 chats begin at a time.
func BenchmarkBegin(b *testing.B) {
	s := benchService(b)
	var failed atomic.Int64
	turns := make(chan struct{})
	var openers sync.WaitGroup
	for range 32 {
		openers.Go(func() {
			for range turns {
				u, err := s.Register(b.Context(), Registration{Name: "Nika"})
				user, support := s.Connect(u.ChatID, &sink{}, nil), s.Connect(u.ChatID, &sink{}, nil)
				user.Receive(fmt.Appendf(nil, `{"type":"Join","args":{"userId":%q,"username":"Nika","from":"User"}}`, u.UserID), time.Now())
				support.Receive(fmt.Appendf(nil, `{"type":"Join","args":{"userId":%q,"from":"Support","supportUserName":"Vika","username":"Nika"}}`, u.UserID), time.Now())
				if err != nil || user.room == nil || support.room == nil {
					failed.Add(1)
				}
				user.Closed()
				support.Closed()
			}
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		turns <- struct{}{}
	}
	close(turns)
	openers.Wait()
	if n := failed.Load(); n > 0 {
		b.Fatalf("%d did not join", n)
	}
}

// BenchmarkTyping is the whole way of a Typing within a chat server, from the frame to the
// queue of the other side: as browsers write it, and as others do.
func BenchmarkTyping(b *testing.B) {
	for name, frames := range map[string][2]string{
		"usual":   {`{"type":"Typing","args":{"typing":true}}`, `{"type":"Typing","args":{"typing":false}}`},
		"unusual": {`{"args":{"typing":true},"type":"Typing"}`, `{"args":{"typing":false},"type":"Typing"}`},
	} {
		b.Run(name, func(b *testing.B) {
			_, user, support := talk(b, benchService(b), `,"features":["typing"]`)
			peer := support.peer.(*sink)
			before, n := peer.got.Load(), int64(0)
			b.ReportAllocs()
			for b.Loop() {
				user.typing.passed = 0 // as if a second had passed
				if !user.ReceiveNow([]byte(frames[n%2])) {
					b.Fatal("not received")
				}
				n++
			}
			if got := peer.got.Load() - before; got != n {
				b.Fatalf("%d of %d were told", got, n)
			}
		})
	}
}

// BenchmarkJoin lets a user in again, whose chat has so many messages: here
// already, or read from the store first.
func BenchmarkJoin(b *testing.B) {
	s := benchService(b)
	for _, history := range []int{0, 100, 1000} {
		u, user, support := talk(b, s)
		for range history {
			user.Receive([]byte(`{"type":"ChatMessage","args":{"content":"`+benchContent+`","from":"User"}}`), time.Now())
		}
		if n := len(user.room.state.Messages); n != history {
			b.Fatal("only", n, "messages")
		}
		join := fmt.Appendf(nil, `{"type":"Join","args":{"userId":%q,"supportId":%q,"from":"User"}}`, u.UserID, support.supportID)
		rejoin := func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := &sink{}
				again := s.Connect(u.ChatID, p, nil)
				again.Receive(join, time.Now())
				if p.got.Load() != 1 || again.room == nil {
					b.Fatal("not joined")
				}
				again.Closed()
			}
		}
		b.Run(fmt.Sprintf("known/history=%d", history), rejoin)
		user.Closed()
		support.Closed()
		b.Run(fmt.Sprintf("read/history=%d", history), rejoin)
	}
}
