package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/broker"
	"livesupport/broker/brokertest"
)

func TestNATSCluster(t *testing.T) {
	brokertest.Run(t, func(t testing.TB) brokertest.Harness {
		cluster := brokertest.StartNATSCluster(t, 3)
		return newNATSHarness(t, broker.NATSConfig{URLs: cluster.URLs(), Replicas: 3})
	})
}

// TestNATSServerLoss stops each server of a cluster in turn, in the middle of traffic. Each
// publication that was acknowledged has to arrive, or a gap in its place.
func TestNATSServerLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 30 s")
	}
	t.Parallel()
	cluster := brokertest.StartNATSCluster(t, 3)
	h := newNATSHarness(t, broker.NATSConfig{URLs: cluster.URLs(), Replicas: 3})
	topics := []string{"users", "chat:a", "chat:b"}
	type listener struct {
		topic string
		*heard
	}
	var listeners []listener
	for range 3 {
		b := h.Broker(t)
		for _, topic := range topics {
			listeners = append(listeners, listener{topic, subscribe(t, b, topic)})
		}
	}
	publishers := []broker.Broker{h.Broker(t), h.Broker(t)}
	for _, p := range publishers {
		awaitReady(t, p, 10*time.Second)
	}
	type taken struct{ topic, payload string }
	var count atomic.Int64
	traffic := func() {
		t.Helper()
		enough := count.Load() + 200
		await(t, 30*time.Second, func() error {
			if n := count.Load(); n < enough {
				return fmt.Errorf("%d were acknowledged, want %d", n, enough)
			}
			return nil
		})
	}
	acknowledged := make(chan []taken, len(publishers)*len(topics))
	stop := make(chan struct{})
	for p, b := range publishers {
		for _, topic := range topics {
			go func() {
				var all []taken
				defer func() { acknowledged <- all }()
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(2 * time.Millisecond):
					}
					payload := fmt.Sprint(p, " ", i)
					ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
					if b.Publish(ctx, topic, []byte(payload)) == nil {
						all = append(all, taken{topic, payload})
						count.Add(1)
					}
					cancel()
				}
			}()
		}
	}
	for i := range 3 {
		traffic()
		leads := cluster.Leads(i, "LIVESUPPORT")
		cluster.Stop(i)
		start := time.Now()
		for _, p := range publishers {
			await(t, 30*time.Second, func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				return p.Publish(ctx, "chat:other", nil)
			})
		}
		t.Logf("server %d stopped, which led the stream: %v; published again after %v", i, leads, time.Since(start))
		traffic()
		cluster.Restart(i, "LIVESUPPORT")
	}
	close(stop)
	var all []taken
	for range cap(acknowledged) {
		all = append(all, <-acknowledged...)
	}
	for _, topic := range topics {
		await(t, 10*time.Second, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			return publishers[0].Publish(ctx, topic, []byte("end"))
		})
	}
	arrived, gaps := 0, 0
	for _, l := range listeners {
		await(t, 15*time.Second, func() error {
			if !slices.Contains(l.list(), "end") {
				return fmt.Errorf("the end has not come")
			}
			return nil
		})
		got := l.list()
		at := make(map[string]int)
		for i, s := range got {
			if s == "GAP" {
				gaps++
			} else if _, ok := at[s]; !ok {
				at[s] = i
			}
		}
		hasGap := slices.Contains(got, "GAP")
		last := make(map[byte]int)
		for _, a := range all {
			if a.topic != l.topic {
				continue
			}
			i, ok := at[a.payload]
			if !ok {
				if !hasGap {
					t.Errorf("%s on %s was acknowledged, has not arrived, and there is no gap", a.payload, a.topic)
				}
				continue
			}
			arrived++
			if p := a.payload[0]; i < last[p] && !slices.Contains(got[i:last[p]], "GAP") {
				t.Errorf("%s on %s came out of order", a.payload, a.topic)
			} else {
				last[p] = i
			}
		}
	}
	t.Logf("%d acknowledged; 3 listeners should get %d and got %d, with %d gaps", len(all), 3*len(all), arrived, gaps)
}
