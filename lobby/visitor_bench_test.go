package lobby

import (
	"bufio"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"livesupport/broker"
	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
)

// BenchmarkVisitor has a visitor come and be claimed, while others wait and agents look on:
// the CPU that this process and Redis spend on it, and what the agents are sent. Neither may
// grow with those who wait.
func BenchmarkVisitor(b *testing.B) {
	for _, pending := range []int{100, 1_000, 10_000} {
		for _, agents := range []int{10, 100, 1_000} {
			b.Run(fmt.Sprintf("pending=%d/agents=%d", pending, agents), func(b *testing.B) { visitors(b, pending, agents) })
		}
	}
}

func visitors(b *testing.B, pending, agents int) {
	log := slog.New(slog.DiscardHandler)
	db, err := redisdb.Open(brokertest.StartRedisServer(b).URL(), log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	events := broker.NewRedis(db, log)
	b.Cleanup(func() { events.Close() })
	q := NewQueue(QueueConfig{DB: db, Broker: events, BrokerInStore: true, ChatTTL: time.Hour, ClaimTTL: time.Hour, LeaveGrace: time.Hour, Log: log})
	q.lease = time.Hour
	b.Cleanup(func() { q.Close() })
	for n := range pending {
		if err := q.Add(b.Context(), user(n)); err != nil {
			b.Fatal(err)
		}
	}
	l := New(Config{Queue: q, Broker: events, Frame: webFrame, Log: log})
	b.Cleanup(func() { l.Close() })
	crowd := &onlookers{agents: int64(agents), told: make(chan struct{}, 1)}
	for range agents {
		l.Connect(crowd, nil).Receive([]byte(`{"type":"Load","args":{"batch":true}}`), time.Now())
	}
	<-crowd.told
	bytes := crowd.bytes.Load()
	own, stores := processTime(b), storeTime(b, db)
	n := pending
	b.ResetTimer()
	for range b.N {
		u := user(n)
		n++
		if err := q.Add(b.Context(), u); err != nil {
			b.Fatal(err)
		}
		<-crowd.told
		if won, _, err := q.Claim(b.Context(), u.ChatID, u.UserID, "agent"); err != nil || !won {
			b.Fatal(won, err)
		}
		<-crowd.told
	}
	b.StopTimer()
	own, stores = processTime(b)-own, storeTime(b, db)-stores
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(b.N) }
	b.ReportMetric(per(own), "process-µs")
	b.ReportMetric(per(stores), "redis-µs")
	b.ReportMetric(float64(crowd.bytes.Load()-bytes)/float64(b.N)/float64(agents), "B/agent")
}

// onlookers is the peer of all agents together, who are sent the same frames.
type onlookers struct {
	agents        int64
	pieces, bytes atomic.Int64
	told          chan struct{} // gets a value whenever all of them have got one more
}

func (o *onlookers) Queue(frames []byte) {
	o.bytes.Add(int64(len(frames)))
	if o.pieces.Add(1)%o.agents == 0 {
		o.told <- struct{}{}
	}
}
func (o *onlookers) Flush()                  {}
func (o *onlookers) Heartbeat(time.Duration) {}
func (o *onlookers) Close(int, string)       {}

func processTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// storeTime is what Redis has spent on commands, as it tells itself.
func storeTime(b *testing.B, db *redisdb.DB) (total time.Duration) {
	info, err := db.Client().Info(b.Context(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		_, rest, ok := strings.Cut(lines.Text(), ",usec=")
		if !ok {
			continue
		}
		var us int64
		if _, err := fmt.Sscan(strings.SplitN(rest, ",", 2)[0], &us); err != nil {
			b.Fatal(err)
		}
		if strings.HasPrefix(lines.Text(), "cmdstat_evalsha:") || strings.HasPrefix(lines.Text(), "cmdstat_eval:") {
			total += time.Duration(us) * time.Microsecond // commands within a script count once more
		}
	}
	return total
}
