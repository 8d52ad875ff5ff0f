package brokertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"livesupport/broker"
)

// noticed is how long a dead connection may count as ready.
const noticed = 5 * time.Second

// slack is how much longer than its context a call may take.
const slack = time.Second

func outageHonoursContext(t *testing.T, h Harness, harm func(Fault)) {
	b, fault := h.Proxied(t)
	ready(t, b)
	subscribe(t, b, newTopic())
	harm(fault)
	// calls tries both, before and after the outage has been noticed.
	calls := func() {
		t.Helper()
		const patience = 300 * time.Millisecond
		for name, call := range map[string]func(context.Context) error{
			"Publish": func(ctx context.Context) error { return b.Publish(ctx, newTopic(), []byte("x")) },
			"Subscribe": func(ctx context.Context) error {
				_, err := b.Subscribe(ctx, newTopic(), newRecorder())
				return err
			},
		} {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			start := time.Now()
			err := call(ctx)
			took := time.Since(start)
			cancel()
			if err == nil {
				t.Errorf("%s succeeds without a connection", name)
			}
			if took > patience+slack {
				t.Errorf("%s took %v with a context of %v", name, took, patience)
			}
		}
	}
	calls()
	eventually(t, noticed, "Ready() shows the outage", func() bool { return b.Ready() != nil })
	calls()
	start := time.Now()
	if err := b.Publish(testContext(t), newTopic(), []byte("x")); err == nil {
		t.Error("Publish succeeds without a connection")
	} else if took := time.Since(start); took > slack {
		t.Errorf("Publish took %v although the connection is known to be down", took)
	}

	fault.Heal()
	ready(t, b)
	topic := newTopic()
	r := subscribe(t, b, topic)
	publish(t, b, topic, "healed")
	check(t, r.awaitPayload("healed"))
}

func subscribeDuringOutage(t *testing.T, h Harness) {
	a := ready(t, h.Broker(t))
	b, fault := h.Proxied(t)
	ready(t, b)
	fault.Cut()
	eventually(t, noticed, "Ready() shows the outage", func() bool { return b.Ready() != nil })
	topic := newTopic()
	r := newRecorder()
	result := make(chan error, 1)
	go func() {
		_, err := b.Subscribe(testContext(t), topic, r)
		result <- err
	}()
	select {
	case err := <-result:
		t.Fatalf("Subscribe returned during the outage: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	fault.Heal()
	check(t, <-result)
	publish(t, a, topic, "x")
	check(t, r.awaitPayload("x"))
}

func closeDuringOutage(t *testing.T, h Harness, harm func(Fault)) {
	b, fault := h.Proxied(t)
	ready(t, b)
	subscribe(t, b, newTopic())
	harm(fault)
	pending := make(chan error, 2)
	go func() {
		_, err := b.Subscribe(testContext(t), newTopic(), newRecorder())
		pending <- err
	}()
	time.Sleep(50 * time.Millisecond) // let it begin to wait; either order is fine
	start := time.Now()
	check(t, b.Close())
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	if err := <-pending; !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Subscribe that waited during Close: %v", err)
	}
}

// nothingLostSilently harms a subscriber's connections while another client goes
// on publishing. Without an outage it resets them.
func nothingLostSilently(t *testing.T, h Harness, outage func(Fault)) {
	publisher := ready(t, h.Broker(t))
	b, fault := h.Proxied(t)
	NothingLostSilently(t, publisher, ready(t, b), []string{newTopic(), newTopic(), newTopic()}, func() {
		if outage == nil {
			for range 3 {
				fault.Reset()
				time.Sleep(100 * time.Millisecond) // the publisher goes on meanwhile
			}
			return
		}
		outage(fault)
		eventually(t, noticed, "Ready() shows the outage", func() bool { return b.Ready() != nil })
		time.Sleep(100 * time.Millisecond)
		fault.Heal()
	})
}

// NothingLostSilently has a publisher publish numbers on the topics, which a
// subscriber hears, while harm is done: each arrives in order, or a gap tells that
// some do not, and in the end all arrive again.
func NothingLostSilently(t *testing.T, publisher, subscriber broker.Broker, topics []string, harm func()) {
	t.Helper()
	var recorders []*recorder
	for _, topic := range topics {
		recorders = append(recorders, subscribe(t, subscriber, topic))
	}

	stop, last := make(chan struct{}), make(chan int, 1)
	errs := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			for _, topic := range topics {
				if err := publisher.Publish(testContext(t), topic, fmt.Append(nil, i)); err != nil {
					errs <- err
					return
				}
			}
			select {
			case <-stop:
				last <- i
				errs <- nil
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	for _, r := range recorders {
		check(t, r.awaitPayload("20"))
	}
	harm()
	eventually(t, 10*time.Second, "service is back", func() bool { return subscriber.Ready() == nil })
	before := make([]int, len(topics))
	for i, r := range recorders { // service is back for every topic
		events, _ := r.all()
		before[i] = len(events)
		check(t, r.await("more payloads", func(events []event) bool { return len(events) >= before[i]+20 }))
	}
	close(stop)
	check(t, <-errs)
	end := fmt.Sprint(<-last)
	for _, r := range recorders {
		check(t, r.awaitPayload(end))
		checkGaps(t, r)
	}
}

// checkGaps checks that no number is missing without a gap in its place.
func checkGaps(t *testing.T, r *recorder) {
	t.Helper()
	next, gap, missing := 0, false, 0
	events, _ := r.all()
	for _, e := range events {
		if e.gap {
			gap = true
			continue
		}
		var n int
		if _, err := fmt.Sscan(e.payload, &n); err != nil {
			t.Fatalf("payload %q: %v", e.payload, err)
		}
		if n > next && !gap {
			t.Fatalf("%d came instead of %d, without a gap", n, next)
		}
		missing += max(0, n-next)
		if n >= next {
			next, gap = n+1, false
		}
	}
	t.Logf("%d of %d payloads missing, all behind gaps", missing, next)
}

// publisherReset resets a publisher's connections. Every payload that Publish has confirmed
// must arrive, in order.
func publisherReset(t *testing.T, h Harness) {
	a := ready(t, h.Broker(t))
	b, fault := h.Proxied(t)
	ready(t, b)
	topic := newTopic()
	r := subscribe(t, a, topic)
	var taken []string
	for i := range 300 {
		if i%100 == 50 {
			fault.Reset()
		}
		payload := fmt.Sprint(i)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		if err := b.Publish(ctx, topic, []byte(payload)); err == nil {
			taken = append(taken, payload)
		}
		cancel()
		time.Sleep(time.Millisecond)
	}
	ready(t, b)
	publish(t, b, topic, "end")
	check(t, r.awaitPayload("end"))
	if len(taken) < 100 {
		t.Fatalf("only %d of 300 payloads were taken", len(taken))
	}
	got := r.payloads()
	for _, payload := range taken {
		i := 0
		for i < len(got) && got[i] != payload {
			i++
		}
		if i == len(got) {
			t.Fatalf("%s was taken, but has not arrived in its order", payload)
		}
		got = got[i:]
	}
}
