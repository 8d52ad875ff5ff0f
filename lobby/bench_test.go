package lobby

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
)

// taker is a peer that counts what it takes.
type taker struct{ pieces, bytes atomic.Int64 }

func (t *taker) Queue(frames []byte) {
	t.pieces.Add(1)
	t.bytes.Add(int64(len(frames)))
}
func (t *taker) Flush()                  {}
func (t *taker) Heartbeat(time.Duration) {}
func (t *taker) Close(int, string)       {}

// webFrame costs what web.TextFrame does, which this package must not know.
func webFrame(payload []byte) []byte {
	b := make([]byte, 4, 10+len(payload))
	return append(b, payload...)
}

// benchQueue is a queue on a Redis of its own, with users who wait and do not
// leave.
func benchQueue(b *testing.B, pending int) *Queue {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := redisdb.Open(brokertest.StartRedisServer(b).URL(), log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	queue := NewQueue(QueueConfig{DB: db, Broker: silent{}, ChatTTL: time.Hour, ClaimTTL: time.Hour, LeaveGrace: time.Hour, Log: log})
	queue.lease = time.Hour
	b.Cleanup(func() { queue.Close() })
	for n := range pending {
		if err := queue.Add(b.Context(), user(n)); err != nil {
			b.Fatal(err)
		}
	}
	return queue
}

// BenchmarkLoad is a Load of an agent, in either form, until it is queued to the
// socket.
func BenchmarkLoad(b *testing.B) {
	for _, pending := range []int{100, 10_000} {
		l := New(Config{Queue: benchQueue(b, pending), Broker: silent{}, Frame: webFrame, Log: slog.New(slog.DiscardHandler)})
		b.Cleanup(func() { l.Close() })
		if err := l.refresh(b.Context()); err != nil { // the first look at the queue reads all of it
			b.Fatal(err)
		}
		for _, form := range []struct{ name, request string }{
			{"each", `{"type":"Load"}`},
			{"batch", `{"type":"Load","args":{"batch":true}}`},
		} {
			b.Run(fmt.Sprintf("%s/pending=%d", form.name, pending), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					t := &taker{}
					a := l.Connect(t, nil)
					a.Receive([]byte(form.request), time.Now())
					a.Closed()
					if t.pieces.Load() != 1 || t.bytes.Load() < int64(pending)*64 {
						b.Fatalf("%d pieces, %d bytes", t.pieces.Load(), t.bytes.Load())
					}
				}
			})
		}
	}
}

// BenchmarkFirstLook is what a lobby reads of the queue when it starts, and after
// the store has lost it.
func BenchmarkFirstLook(b *testing.B) {
	queue := benchQueue(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if c, err := queue.since(b.Context(), "", 0); err != nil || len(c.pending) != 10_000 {
			b.Fatal(len(c.pending), err)
		}
	}
}

// BenchmarkUserJoined brings a new user into the picture and to so many agents.
func BenchmarkUserJoined(b *testing.B) {
	for _, agents := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			l := &Lobby{
				cfg:     Config{Frame: webFrame, Log: slog.New(slog.DiscardHandler)},
				metrics: newMetrics(),
				pending: newPicture(webFrame), removed: map[string]removal{}, agents: map[*Agent]struct{}{}, own: newRecent(),
			}
			t := &taker{}
			for range agents {
				l.agents[l.Connect(t, nil)] = struct{}{}
			}
			u := user(1)
			joined := change{events: []entry{{place: 1, payload: event{kindUserJoined, u}.payload(plain)}}}
			now, n := time.Now(), 0
			b.ReportAllocs()
			for b.Loop() {
				l.mu.Lock()
				l.apply(joined, now)
				told := l.deliver()
				l.pending.remove(u.UserID) // without a word
				l.mu.Unlock()
				for _, a := range told {
					a.peer.Flush()
				}
				n++
			}
			if got := t.pieces.Load(); got != int64(n*agents) {
				b.Fatalf("%d of %d pieces", got, n*agents)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*agents), "ns/agent")
		})
	}
}

// BenchmarkQueue is the store's part: a user who comes and is claimed, before
// those who wait already.
func BenchmarkQueue(b *testing.B) {
	for _, pending := range []int{0, 10_000} {
		queue := benchQueue(b, pending)
		n := pending
		b.Run(fmt.Sprintf("add/pending=%d", pending), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n++
				if err := queue.Add(b.Context(), user(n)); err != nil {
					b.Fatal(err)
				}
			}
		})
		claimed := pending
		b.Run(fmt.Sprintf("claim/pending=%d", pending), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				if claimed++; claimed > n {
					n++
					if err := queue.Add(b.Context(), user(n)); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				if won, _, err := queue.Claim(b.Context(), user(claimed).ChatID, user(claimed).UserID, "agent"); err != nil || !won {
					b.Fatal(won, err)
				}
			}
		})
	}
}
