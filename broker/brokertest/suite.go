// Package brokertest is the conformance suite of package broker: every clause of
// broker.Broker has a case. It also has the servers that tests of other packages use:
// Redis, NATS, and a proxy that is a faulty network.
package brokertest

import (
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"livesupport/broker"
)

// Harness makes the brokers under test. All brokers of one harness reach each other. They,
// and whatever belongs to them, are closed when the test t ends.
type Harness interface {
	// Broker returns a new client with its own connections.
	Broker(t testing.TB) broker.Broker
	// Proxied returns a new client with a faulty network between it and the server.
	Proxied(t testing.TB) (broker.Broker, Fault)
}

// Run runs all cases, most of them in parallel.
func Run(t *testing.T, newHarness func(t testing.TB) Harness) {
	h := newHarness(t)
	t.Run("NoGoroutineLeft", func(t *testing.T) { noGoroutineLeft(t, h) }) // alone: it counts them
	for name, run := range map[string]func(*testing.T, Harness){
		"AnyBytes":                   anyBytes,
		"TooLarge":                   tooLarge,
		"FanOut":                     fanOut,
		"PayloadIsTheHandlers":       payloadIsTheHandlers,
		"HostileTopics":              hostileTopics,
		"SubscribeReturnsReady":      subscribeReturnsReady,
		"OnePublishersOrder":         onePublishersOrder,
		"ManyPublishersOrder":        manyPublishersOrder,
		"ConcurrentSubscribeClose":   concurrentSubscribeClose,
		"ResubscribeChurn":           resubscribeChurn,
		"ManyTopics":                 manyTopics,
		"SlowSubscriber":             slowSubscriber,
		"SubscriptionClose":          subscriptionClose,
		"SubscriptionCloseInside":    subscriptionCloseInside,
		"CloseWaitsForHandlers":      closeWaitsForHandlers,
		"UseAfterClose":              useAfterClose,
		"EndedContext":               endedContext,
		"OutageHonoursContext/cut":   func(t *testing.T, h Harness) { outageHonoursContext(t, h, Fault.Cut) },
		"OutageHonoursContext/stall": func(t *testing.T, h Harness) { outageHonoursContext(t, h, Fault.Stall) },
		"SubscribeDuringOutage":      subscribeDuringOutage,
		"CloseDuringOutage/cut":      func(t *testing.T, h Harness) { closeDuringOutage(t, h, Fault.Cut) },
		"CloseDuringOutage/stall":    func(t *testing.T, h Harness) { closeDuringOutage(t, h, Fault.Stall) },
		"NothingLostSilently/cut":    func(t *testing.T, h Harness) { nothingLostSilently(t, h, Fault.Cut) },
		"NothingLostSilently/stall":  func(t *testing.T, h Harness) { nothingLostSilently(t, h, Fault.Stall) },
		"NothingLostSilently/reset":  func(t *testing.T, h Harness) { nothingLostSilently(t, h, nil) },
		"PublisherReset":             publisherReset,
		"SignalAnyBytes":             signalAnyBytes,
		"SignalTooLarge":             signalTooLarge,
		"SignalFanOut":               signalFanOut,
		"SignalHostileTopics":        signalHostileTopics,
		"SignalOrder":                signalOrder,
		"SignalsAreNoPublications":   signalsAreNoPublications,
		"SignalFlood":                signalFlood,
		"SlowListener":               slowListener,
		"ListenerClose":              listenerClose,
		"ListenerCloseInside":        listenerCloseInside,
		"SignalAfterClose":           signalAfterClose,
		"SignalOutage/cut":           func(t *testing.T, h Harness) { signalOutage(t, h, Fault.Cut) },
		"SignalOutage/stall":         func(t *testing.T, h Harness) { signalOutage(t, h, Fault.Stall) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, h)
		})
	}
}

func noGoroutineLeft(t *testing.T, h Harness) {
	before := goleak.IgnoreCurrent()
	t.Run("use", func(t *testing.T) {
		a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
		proxied, fault := h.Proxied(t)
		ready(t, proxied)
		for range 20 {
			topic := newTopic()
			r := subscribe(t, a, topic)
			p := subscribe(t, proxied, topic)
			publish(t, b, topic, "x")
			check(t, r.awaitPayload("x"))
			check(t, p.awaitPayload("x"))
			l := listen(t, proxied, topic)
			check(t, a.Signal(topic, []byte("x")))
			check(t, l.awaitPayload("x"))
		}
		running := runtime.NumGoroutine()
		for range 1000 {
			a.Listen(newTopic(), func([]byte) {}, nil)
		}
		listen(t, a, newTopic()) // all of them are served by now
		if more := runtime.NumGoroutine() - running; more > 50 {
			t.Errorf("%d goroutines for 1,000 listeners", more)
		}
		fault.Cut()
		eventually(t, 5*time.Second, "Ready() shows the cut", func() bool { return proxied.Ready() != nil })
	})
	var left error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if left = goleak.Find(before); left == nil { // itself tries for half a second
			return
		}
	}
	t.Fatal(left)
}
