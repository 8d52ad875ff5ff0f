package brokertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/broker"
)

// handlerFunc is a Handler that ignores gaps.
type handlerFunc func(payload []byte)

func (f handlerFunc) Message(payload []byte) { f(payload) }
func (f handlerFunc) Gap()                   {}

func concurrentSubscribeClose(t *testing.T, h Harness) {
	brokers := []broker.Broker{ready(t, h.Broker(t)), ready(t, h.Broker(t))}
	topics := []string{newTopic(), newTopic(), newTopic()}
	const workers, rounds = 12, 40
	errs := make(chan error, workers)
	for w := range workers {
		go func() {
			b := brokers[w%2]
			for i := range rounds {
				topic := topics[(w+i)%len(topics)]
				r := newRecorder()
				s, err := b.Subscribe(testContext(t), topic, r)
				if err != nil {
					errs <- fmt.Errorf("subscribe: %w", err)
					return
				}
				payload := fmt.Sprint(w, " ", i)
				if err = brokers[i%2].Publish(testContext(t), topic, []byte(payload)); err == nil {
					err = r.awaitPayload(payload)
				}
				s.Close()
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range workers {
		check(t, <-errs)
	}
}

// resubscribeChurn leaves a topic and subscribes to it again at once, over and over. The end
// of the old subscription must not end the new one.
func resubscribeChurn(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	for i := range 200 {
		r := newRecorder()
		s, err := a.Subscribe(testContext(t), topic, r)
		check(t, err)
		publish(t, b, topic, fmt.Sprint(i))
		check(t, r.awaitPayload(fmt.Sprint(i)))
		s.Close()
		if i%3 == 0 { // give the end of the subscription a head start, sometimes
			time.Sleep(time.Duration(i) * 5 * time.Microsecond)
		}
	}
}

func slowSubscriber(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic, elsewhere := newTopic(), newTopic()
	slow := &stuck{recorder: newRecorder(), release: make(chan struct{})}
	if _, err := a.Subscribe(testContext(t), topic, slow); err != nil {
		t.Fatal(err)
	}
	fast, other := subscribe(t, a, topic), subscribe(t, a, elsewhere)

	const n = 5000 // more than any queue holds
	errs := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < n && err == nil; i++ {
			err = b.Publish(testContext(t), topic, fmt.Append(nil, i))
		}
		errs <- err
	}()
	publish(t, b, elsewhere, "elsewhere")
	check(t, other.awaitPayload("elsewhere"))
	check(t, <-errs) // publishers are not held up
	check(t, fast.awaitPayload(fmt.Sprint(n-1)))
	if events, _ := slow.all(); len(events) > 1 {
		t.Fatalf("the handler was called %d times at once", len(events))
	}

	close(slow.release)
	gap := func(events []event) bool { return len(events) > 0 && events[len(events)-1].gap }
	check(t, slow.await("the gap", gap))
	publish(t, b, topic, "after the gap")
	check(t, slow.awaitPayload("after the gap"))
	gaps, next := 0, 0
	events, _ := slow.all()
	for _, e := range events[:len(events)-1] {
		if e.gap {
			gaps++
			continue
		}
		if gaps == 0 && e.payload != fmt.Sprint(next) {
			t.Fatalf("%s came instead of %d, without a gap before it", e.payload, next)
		}
		next++
	}
	if gaps != 1 {
		t.Fatalf("%d gaps for one overflow", gaps)
	}
}

// stuck is a recorder that stops at its first payload until it is released.
type stuck struct {
	*recorder
	release chan struct{}
}

func (s *stuck) Message(payload []byte) {
	s.recorder.Message(payload)
	<-s.release
}

func subscriptionClose(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	r := newRecorder()
	s, err := a.Subscribe(testContext(t), topic, r)
	check(t, err)
	other := subscribe(t, a, topic)
	publish(t, b, topic, "before")
	check(t, r.awaitPayload("before"))
	s.Close()
	s.Close()
	publish(t, b, topic, "after")
	check(t, other.awaitPayload("after")) // the topic's other subscription goes on
	if got := r.payloads(); len(got) != 1 {
		t.Fatalf("after Close the handler got %q", got[1:])
	}
}

// subscriptionCloseInside closes a subscription from its own handler, and while holding a
// lock for which the handler waits.
func subscriptionCloseInside(t *testing.T, h Harness) {
	b := ready(t, h.Broker(t))
	topic := newTopic()
	subscription := make(chan broker.Subscription, 1)
	closed := make(chan struct{})
	s, err := b.Subscribe(testContext(t), topic, handlerFunc(func([]byte) {
		(<-subscription).Close()
		close(closed)
	}))
	check(t, err)
	subscription <- s
	publish(t, b, topic, "1")
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("Close does not return in a handler")
	}

	var mu sync.Mutex
	entered := make(chan struct{})
	s, err = b.Subscribe(testContext(t), topic, handlerFunc(func([]byte) {
		close(entered)
		mu.Lock()
		defer mu.Unlock()
	}))
	check(t, err)
	mu.Lock()
	defer mu.Unlock()
	publish(t, b, topic, "2")
	<-entered
	done := make(chan struct{})
	go func() {
		s.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("Close waits for a running handler")
	}
}

func closeWaitsForHandlers(t *testing.T, h Harness) {
	b := ready(t, h.Broker(t))
	topic := newTopic()
	entered, release := make(chan struct{}), make(chan struct{})
	var left atomic.Bool
	_, err := b.Subscribe(testContext(t), topic, handlerFunc(func([]byte) {
		close(entered)
		<-release
		left.Store(true)
	}))
	check(t, err)
	publish(t, b, topic, "1")
	<-entered
	done := make(chan error, 1)
	go func() {
		err := b.Close()
		if err == nil && !left.Load() {
			err = errors.New("it has not waited for the handler")
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("Close returned while a handler was running: %v", err)
		close(release)
	case <-time.After(50 * time.Millisecond):
		close(release)
		check(t, <-done)
	}
}

func useAfterClose(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	r := newRecorder()
	s, err := a.Subscribe(testContext(t), topic, r)
	check(t, err)
	check(t, a.Close())
	check(t, a.Close())
	s.Close()
	publish(t, b, topic, "after")
	if err := a.Publish(testContext(t), topic, nil); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Publish after Close: %v", err)
	}
	if _, err := a.Subscribe(testContext(t), topic, r); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Subscribe after Close: %v", err)
	}
	if err := a.Ready(); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Ready after Close: %v", err)
	}
	if events, _ := r.all(); len(events) > 0 {
		t.Errorf("after Close the handler got %v", events)
	}
}

func endedContext(t *testing.T, h Harness) {
	b := ready(t, h.Broker(t))
	topic := newTopic()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := newRecorder()
	if _, err := b.Subscribe(ctx, topic, r); !errors.Is(err, context.Canceled) {
		t.Errorf("Subscribe with an ended context: %v", err)
	}
	if err := b.Publish(ctx, topic, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish with an ended context: %v", err)
	}
	other := subscribe(t, b, topic) // the topic has come to no harm
	publish(t, b, topic, "end")
	check(t, other.awaitPayload("end"))
	if events, _ := r.all(); len(events) > 0 {
		t.Errorf("a handler without subscription got %v", events)
	}
}
