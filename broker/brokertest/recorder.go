package brokertest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/broker"
)

// patience bounds every wait for something that must happen.
const patience = 15 * time.Second

// recorder is a Handler that keeps what it gets.
type recorder struct {
	mu     sync.Mutex
	events []event
	change chan struct{} // closed and replaced at every event

	knocked atomic.Bool // see recorder.heard
}

type event struct {
	payload string
	gap     bool
}

func newRecorder() *recorder { return &recorder{change: make(chan struct{})} }

func (r *recorder) Message(payload []byte) { r.add(event{payload: string(payload)}) }
func (r *recorder) Gap()                   { r.add(event{gap: true}) }

func (r *recorder) add(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.change)
	r.change = make(chan struct{})
}

func (r *recorder) all() ([]event, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[:len(r.events):len(r.events)], r.change
}

// payloads returns the payloads received so far, in their order.
func (r *recorder) payloads() []string {
	events, _ := r.all()
	var got []string
	for _, e := range events {
		if !e.gap {
			got = append(got, e.payload)
		}
	}
	return got
}

// await waits until the events satisfy ok, and returns an error if they do not in time.
func (r *recorder) await(what string, ok func([]event) bool) error {
	timeout := time.After(patience)
	for {
		events, change := r.all()
		if ok(events) {
			return nil
		}
		select {
		case <-change:
		case <-timeout:
			if len(events) > 5 {
				events = events[len(events)-5:]
			}
			return fmt.Errorf("%s has not come; the last events are %.300q", what, fmt.Sprint(events))
		}
	}
}

// awaitPayload waits until payload has come.
func (r *recorder) awaitPayload(payload string) error {
	seen := 0
	return r.await(fmt.Sprintf("%.40q", payload), func(events []event) bool {
		for ; seen < len(events); seen++ {
			if e := events[seen]; !e.gap && e.payload == payload {
				return true
			}
		}
		return false
	})
}

var topics atomic.Int64

// newTopic returns a topic that no other case uses.
func newTopic() string { return fmt.Sprintf("chat:%032x", topics.Add(1)) }

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func subscribe(t testing.TB, b broker.Broker, topic string) *recorder {
	t.Helper()
	r := newRecorder()
	if _, err := b.Subscribe(testContext(t), topic, r); err != nil {
		t.Fatalf("Subscribe(%q): %v", topic, err)
	}
	return r
}

func publish(t testing.TB, b broker.Broker, topic, payload string) {
	t.Helper()
	if err := b.Publish(testContext(t), topic, []byte(payload)); err != nil {
		t.Fatalf("Publish(%q): %v", topic, err)
	}
}

// ready waits until b is, and returns b.
func ready(t testing.TB, b broker.Broker) broker.Broker {
	t.Helper()
	eventually(t, patience, "Ready() == nil", func() bool { return b.Ready() == nil })
	return b
}

func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// check fails the test if err is not nil.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
