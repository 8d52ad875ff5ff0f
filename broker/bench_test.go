package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"livesupport/broker"
	"livesupport/broker/brokertest"
)

// payload is about what the news of a chat message has.
var payload = []byte(strings.Repeat("x", 300))

// eachBroker runs a benchmark on both brokers, with two clients of each: Redis on
// the redis-server that is installed, else in process; NATS in process.
func eachBroker(b *testing.B, run func(b *testing.B, publisher, subscriber broker.Broker)) {
	b.Run("redis", func(b *testing.B) {
		var h redisHarness
		if _, err := exec.LookPath("redis-server"); err == nil {
			h.url = brokertest.StartRedisServer(b).URL()
		} else {
			h.url = brokertest.StartEmbeddedRedis(b).URL()
		}
		pair(b, h, run)
	})
	for _, storage := range []string{"file", "memory"} {
		b.Run("nats-"+storage, func(b *testing.B) {
			pair(b, newNATSHarness(b, broker.NATSConfig{URLs: brokertest.StartEmbeddedNATS(b).URL(), Memory: storage == "memory"}), run)
		})
	}
}

func pair(b *testing.B, h brokertest.Harness, run func(b *testing.B, publisher, subscriber broker.Broker)) {
	publisher, subscriber := h.Broker(b), h.Broker(b)
	awaitReady(b, publisher, 10*time.Second)
	awaitReady(b, subscriber, 10*time.Second)
	run(b, publisher, subscriber)
}

// counter is a Handler that counts.
type counter struct{ messages, gaps chan struct{} }

func newCounter() counter { return counter{make(chan struct{}, 1<<20), make(chan struct{}, 1<<20)} }

func (c counter) Message([]byte) { c.messages <- struct{}{} }
func (c counter) Gap()           { c.gaps <- struct{}{} }

// BenchmarkLatency is the time from Publish to the handler in another client, one
// at a time.
func BenchmarkLatency(b *testing.B) {
	eachBroker(b, func(b *testing.B, publisher, subscriber broker.Broker) {
		c := newCounter()
		if _, err := subscriber.Subscribe(b.Context(), "chat:latency", c); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := publisher.Publish(b.Context(), "chat:latency", payload); err != nil {
				b.Fatal(err)
			}
			<-c.messages
		}
	})
}

// BenchmarkPublish is publications of 64 goroutines at a time, acknowledged, with
// the receipt by another client running along.
func BenchmarkPublish(b *testing.B) {
	eachBroker(b, func(b *testing.B, publisher, subscriber broker.Broker) {
		const topics = 64
		all := newCounter()
		for i := range topics {
			if _, err := subscriber.Subscribe(b.Context(), fmt.Sprint("chat:", i), all); err != nil {
				b.Fatal(err)
			}
		}
		done := make(chan struct{})
		var drain sync.WaitGroup
		drain.Go(func() {
			for {
				select {
				case <-all.messages:
				case <-all.gaps:
				case <-done:
					return
				}
			}
		})
		var next sync.Mutex
		worker := 0
		b.SetParallelism(topics / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			next.Lock()
			topic := fmt.Sprint("chat:", worker%topics)
			worker++
			next.Unlock()
			for pb.Next() {
				if err := publisher.Publish(context.Background(), topic, payload); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "publishes/s")
		close(done)
		drain.Wait()
	})
}

// BenchmarkSignal sends 2,000 signals a second on 1,000 topics, as many as while both sides
// of 1,000 chats are typing. It measures the processor time that this process uses for one
// signal, sent and received. For NATS that includes the server, which is in this process.
func BenchmarkSignal(b *testing.B) {
	const topics, each = 1000, 20
	eachBroker(b, func(b *testing.B, publisher, subscriber broker.Broker) {
		var knocked atomic.Bool
		var got atomic.Int64
		names := make([]string, topics)
		for i := range names {
			names[i] = fmt.Sprintf("chat:%032x", i)
			subscriber.Listen(names[i], func(signal []byte) {
				if len(signal) == 0 {
					knocked.Store(true)
					return
				}
				got.Add(1)
			}, nil)
		}
		await(b, 10*time.Second, func() error {
			if _ = publisher.Signal(names[topics-1], nil); !knocked.Load() {
				return errors.New("nothing is heard")
			}
			return nil
		})
		sent := 0
		before := cpu(b)
		tick := time.NewTicker(time.Second * each / (2 * topics))
		defer tick.Stop()
		for b.Loop() {
			<-tick.C
			for range each {
				if err := publisher.Signal(names[sent%topics], payload[:60]); err != nil {
					b.Fatal(err)
				}
				sent++
			}
		}
		await(b, 10*time.Second, func() error {
			if n := got.Load(); n < int64(sent) {
				return fmt.Errorf("%d of %d signals", n, sent)
			}
			return nil
		})
		b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(sent)/1000, "µs-cpu/signal")
	})
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTopics opens 10,000 topics, 64 at a time, and closes them.
func BenchmarkTopics(b *testing.B) {
	const topics, workers = 10_000, 64
	eachBroker(b, func(b *testing.B, _, subscriber broker.Broker) {
		h := newCounter()
		var opening, closing time.Duration
		var bytes uint64
		for b.Loop() {
			before := heap()
			start := time.Now()
			var all [workers][]broker.Subscription
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for i := w; i < topics; i += workers {
						s, err := subscriber.Subscribe(b.Context(), fmt.Sprintf("chat:%032x", i), h)
						if err != nil {
							b.Error(err)
							return
						}
						all[w] = append(all[w], s)
					}
				})
			}
			wg.Wait()
			opening += time.Since(start)
			bytes += max(heap(), before) - before
			start = time.Now()
			for _, some := range all {
				for _, s := range some {
					s.Close()
				}
			}
			last, err := subscriber.Subscribe(b.Context(), "users", h) // behind them all
			if err != nil {
				b.Fatal(err)
			}
			last.Close()
			closing += time.Since(start)
		}
		n := float64(b.N)
		b.ReportMetric(float64(opening.Milliseconds())/n, "ms/open")
		b.ReportMetric(float64(closing.Milliseconds())/n, "ms/close")
		b.ReportMetric(float64(bytes)/n/topics, "B/topic") // with an embedded server, also the server's
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
