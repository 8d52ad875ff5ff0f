package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"livesupport/broker"
	"livesupport/broker/brokertest"
)

// BenchmarkIdleTopics is five seconds of a server with 50,000 chats on a Cluster of eight masters, of which
// one gets a message now and then: what the others cost, and what deliveries wait for them.
func BenchmarkIdleTopics(b *testing.B) {
	cluster := clusterHarness{brokertest.StartRedisClusterOf(b, 8)}
	publisher, subscriber := cluster.Broker(b), cluster.Broker(b)
	awaitReady(b, publisher, 10*time.Second)
	awaitReady(b, subscriber, 10*time.Second)
	var subscribing sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range 50_000 {
		slots <- struct{}{}
		subscribing.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if _, err := subscriber.Subscribe(ctx, fmt.Sprint("chat:idle-", i), ignored{}); err != nil {
				b.Error(err)
			}
		})
	}
	subscribing.Wait()
	arrived := make(chan struct{}, 1)
	if _, err := subscriber.Subscribe(b.Context(), "chat:talking", told{arrived}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var took []time.Duration
		before := cpu(b)
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			sent := time.Now()
			if err := publisher.Publish(b.Context(), "chat:talking", nil); err != nil {
				b.Fatal(err)
			}
			<-arrived
			took = append(took, time.Since(sent))
		}
		slices.Sort(took)
		b.ReportMetric((cpu(b)-before).Seconds()*1000/5, "cpu-ms/s")
		b.ReportMetric(float64(took[len(took)*999/1000].Microseconds()), "p99.9-µs")
		b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
	}
}

type ignored struct{}

func (ignored) Message([]byte) {}
func (ignored) Gap()           {}

type told struct{ arrived chan struct{} }

func (t told) Message([]byte) { t.arrived <- struct{}{} }
func (told) Gap()             {}

var _ broker.Handler = told{}
