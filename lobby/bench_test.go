package lobby

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/broker"
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
		if c, err := queue.since(b.Context(), "", 0, newsWanted{}); err != nil || len(c.pending) != 10_000 {
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
				groups: groups{}, staff: newStaff(),
			}
			t := &taker{}
			for range agents {
				a := l.Connect(t, nil)
				l.agents[a] = struct{}{}
				l.groups.enter(a.group)
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

// desktops takes the offers of one agent, and notes when they came.
type desktops struct {
	taker
	agent  *Agent
	offers chan string // chats
}

func (d *desktops) Queue(frames []byte) {
	for rest := string(frames); ; {
		_, after, found := strings.Cut(rest, `"type":"Offer"`)
		if !found {
			return
		}
		_, id, _ := strings.Cut(after, `"chatId":"`)
		d.offers <- id[:32]
		rest = after
	}
}

// benchAssigning returns a queue with ASSIGN on its own redis-server, and its broker.
func benchAssigning(b *testing.B, how Assignment) (*Queue, broker.Broker) {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := redisdb.Open(brokertest.StartRedisServer(b).URL(), log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	events := broker.NewRedis(db, log)
	b.Cleanup(func() { events.Close() })
	q := NewQueue(QueueConfig{
		DB: db, Broker: events, BrokerInStore: true, Assign: how,
		ChatTTL: time.Minute, ClaimTTL: time.Minute, LeaveGrace: time.Minute, Log: log,
	})
	b.Cleanup(func() { q.Close() })
	return q, events
}

// BenchmarkAssign assigns users, who come at 1,000 a second, to 200 agents at two lobbies.
// Each agent accepts, joins, and ends the chat at once. It measures the time from a user's
// arrival until an agent has the Offer. Like every time, it means something only on a quiet
// machine.
func BenchmarkAssign(b *testing.B) {
	const agents, every = 200, time.Millisecond
	for _, how := range []Assignment{AssignRoundRobin, AssignLeastBusy} {
		b.Run(string(how), func(b *testing.B) {
			q, events := benchAssigning(b, how)
			var lobbies []*Lobby
			for range 2 {
				l := New(Config{Queue: q, Broker: events, Frame: webFrame, Log: slog.New(slog.DiscardHandler)})
				b.Cleanup(func() { l.Close() })
				lobbies = append(lobbies, l)
			}
			offers := make(chan string, 1<<16)
			for n := range agents {
				d := &desktops{offers: offers}
				d.agent = lobbies[n%2].Connect(d, identity(fmt.Sprint("agent ", n)))
				d.agent.Receive([]byte(`{"type":"Load","args":{"features":["offers"]}}`), time.Now())
			}
			var mu sync.Mutex
			came := map[string]time.Time{}
			users := map[string]User{}
			var took []time.Duration
			var work sync.WaitGroup
			work.Go(func() {
				for range b.N {
					id := <-offers
					mu.Lock()
					took = append(took, time.Since(came[id]))
					u := users[id]
					mu.Unlock()
					work.Go(func() {
						if err := q.Taken(b.Context(), Held{User: u, SupportID: "s"}); err != nil {
							b.Error(err)
						}
					})
				}
			})
			b.ResetTimer()
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			for n := range b.N {
				<-ticker.C
				work.Go(func() {
					u := user(n)
					mu.Lock()
					came[u.ChatID], users[u.ChatID] = time.Now(), u
					mu.Unlock()
					if err := q.Add(b.Context(), u); err != nil {
						b.Error(err)
					}
				})
			}
			work.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "arrivals/s")
		})
	}
}

// BenchmarkStatus has 1,000 agents say how they stand, until a lobby that wants to know
// has it of all of them.
func BenchmarkStatus(b *testing.B) {
	const agents = 1000
	q, events := benchAssigning(b, AssignRoundRobin)
	var lobbies [2]*Lobby
	for i := range lobbies {
		lobbies[i] = New(Config{Queue: q, Broker: events, Frame: webFrame, Log: slog.New(slog.DiscardHandler)})
		b.Cleanup(func() { lobbies[i].Close() })
	}
	boss := lobbies[1].Connect(&taker{}, identity("Boss"))
	boss.Receive([]byte(`{"type":"Load","args":{"features":["agents"]}}`), time.Now())
	var all []*Agent
	for n := range agents {
		a := lobbies[0].Connect(&taker{}, identity(fmt.Sprint("agent ", n)))
		a.Receive([]byte(`{"type":"Load","args":{"features":["offers"]}}`), time.Now())
		all = append(all, a)
	}
	capacity := int64(0)
	for b.Loop() {
		capacity = capacity%100 + 1
		text := fmt.Appendf(nil, `{"type":"Status","args":{"status":"online","capacity":%d}}`, capacity)
		for _, a := range all {
			a.Receive(text, time.Now())
		}
		for done := false; !done; time.Sleep(time.Millisecond) {
			lobbies[1].mu.Lock()
			n := 0
			for _, a := range lobbies[1].staff.roster.agents {
				if a.capacity == capacity {
					n++
				}
			}
			lobbies[1].mu.Unlock()
			done = n == agents
		}
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
