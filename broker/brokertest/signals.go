package brokertest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/broker"
)

// listen listens to a topic, and returns once signals come.
func listen(t testing.TB, b broker.Broker, topic string) *recorder {
	t.Helper()
	r := newRecorder()
	b.Listen(topic, r.heard, nil)
	heard(t, b, topic, r)
	return r
}

const knock = "is anybody there?"

// heard records a signal, unless it is a knock.
func (r *recorder) heard(payload []byte) {
	if string(payload) == knock {
		r.knocked.Store(true)
		return
	}
	r.Message(payload)
}

// heard waits until r hears a knock of b on the topic.
func heard(t testing.TB, b broker.Broker, topic string, r *recorder) {
	t.Helper()
	r.knocked.Store(false)
	eventually(t, patience, "a signal is heard", func() bool {
		_ = b.Signal(topic, []byte(knock)) // tried again
		return r.knocked.Load()
	})
}

func send(t testing.TB, b broker.Broker, topic, payload string) {
	t.Helper()
	if err := b.Signal(topic, []byte(payload)); err != nil {
		t.Fatalf("Signal(%q): %v", topic, err)
	}
}

func signalAnyBytes(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	r := listen(t, a, topic)
	want := hostilePayloads(broker.MaxSignal)
	for _, payload := range want {
		send(t, b, topic, payload)
	}
	check(t, r.awaitPayload("end"))
	if got := r.payloads(); !slices.Equal(got, want) {
		t.Fatalf("got %d signals, %.200q; want %d, %.200q", len(got), got, len(want), want)
	}
}

func signalTooLarge(t *testing.T, h Harness) {
	b := ready(t, h.Broker(t))
	topic := newTopic()
	r := listen(t, b, topic)
	if err := b.Signal(topic, bytes.Repeat([]byte("x"), broker.MaxSignal+1)); !errors.Is(err, broker.ErrTooLarge) {
		t.Fatalf("Signal of MaxSignal+1 bytes: %v, want ErrTooLarge", err)
	}
	send(t, b, topic, "end")
	check(t, r.awaitPayload("end"))
	if got := r.payloads(); len(got) != 1 {
		t.Fatalf("got %d signals, want only the one that was not refused", len(got))
	}
}

// signalFanOut checks that every listener hears every sender, and gets its own copy of the
// payload.
func signalFanOut(t *testing.T, h Harness) {
	topic := newTopic()
	var brokers []broker.Broker
	var recorders []*recorder
	for range 3 {
		b := ready(t, h.Broker(t))
		brokers = append(brokers, b)
		b.Listen(topic, func(payload []byte) { copy(payload, "!!!!!!!!") }, nil)
		recorders = append(recorders, listen(t, b, topic), listen(t, b, topic))
	}
	for i, b := range brokers {
		payload := fmt.Append(nil, "from ", i)
		check(t, b.Signal(topic, payload))
		copy(payload, "spoiled") // allowed as soon as Signal has returned
	}
	for _, r := range recorders {
		for i := range brokers {
			check(t, r.awaitPayload(fmt.Sprint("from ", i)))
		}
		if got := r.payloads(); len(got) != len(brokers) {
			t.Errorf("heard %q", got)
		}
	}
}

// signalHostileTopics checks that topics are taken literally, and that none gets
// the signals of another.
func signalHostileTopics(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	names := hostileNames()
	recorders := make([]*recorder, len(names))
	for i, name := range names {
		recorders[i] = newRecorder()
		a.Listen(name, recorders[i].heard, nil)
	}
	for i, name := range names {
		heard(t, b, name, recorders[i])
	}
	for round := range 2 {
		for _, name := range names {
			send(t, b, name, fmt.Sprint(round, name))
		}
	}
	for i, name := range names {
		check(t, recorders[i].awaitPayload("1"+name))
		if got, want := recorders[i].payloads(), []string{"0" + name, "1" + name}; !slices.Equal(got, want) {
			t.Errorf("topic %q heard %.300q", name, got)
		}
	}
}

func signalOrder(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	r := listen(t, a, topic)
	const n = 600
	for i := range n {
		send(t, b, topic, fmt.Sprint("p ", i))
		if i%30 == 29 { // few enough to wait for a busy listener
			check(t, r.awaitPayload(fmt.Sprint("p ", i)))
		}
	}
	checkOrder(t, r, map[string]int{"p": n})
	if got := r.payloads(); len(got) != n {
		t.Errorf("%d signals came as %d", n, len(got))
	}
}

// signalsAreNoPublications checks that subscribers get no signals, and listeners no
// publications.
func signalsAreNoPublications(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	published, signalled := subscribe(t, a, topic), listen(t, a, topic)
	for range 20 {
		send(t, b, topic, "a signal")
		publish(t, b, topic, "a publication")
	}
	send(t, b, topic, "last signal")
	publish(t, b, topic, "last publication")
	check(t, signalled.awaitPayload("last signal"))
	check(t, published.awaitPayload("last publication"))
	events, _ := published.all()
	for _, e := range events {
		if e.gap || strings.Contains(e.payload, "signal") || e.payload == knock {
			t.Errorf("the subscriber got %v", e)
		}
	}
	events, _ = signalled.all()
	for _, e := range events {
		if e.gap || strings.Contains(e.payload, "publication") {
			t.Errorf("the listener got %v", e)
		}
	}
}

// signalFlood sends signals as fast as the broker takes them, on the topic of a publisher
// and on others. The publications must not wait for them.
func signalFlood(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	r := subscribe(t, a, topic)
	flooded := []string{topic, newTopic(), newTopic()}
	for _, name := range flooded {
		listen(t, a, name)
	}
	stop, stopped := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			for range 500 {
				_ = b.Signal(flooded[n%len(flooded)], []byte("flood"))
				n++
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var took []time.Duration
	for i := range 100 {
		began := time.Now()
		publish(t, b, topic, fmt.Sprint("p ", i))
		check(t, r.awaitPayload(fmt.Sprint("p ", i)))
		took = append(took, time.Since(began))
		time.Sleep(2 * time.Millisecond)
	}
	close(stop)
	n := <-stopped
	checkOrder(t, r, map[string]int{"p": 100})
	slices.Sort(took)
	t.Logf("%d signals; publications came after %v (median), %v (longest)", n, took[50], took[99])
	// Behind all signals that may wait they would be late by seconds.
	if took[50] > 200*time.Millisecond || took[99] > 2*time.Second {
		t.Errorf("publications came after %v (median), %v (longest)", took[50], took[99])
	}
}

// slowListener checks that a listener which falls behind loses its oldest signals, and that
// no other listener loses any.
func slowListener(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	slow := &stuck{recorder: newRecorder(), release: make(chan struct{})}
	a.Listen(topic, slow.Message, nil)
	fast := listen(t, a, topic) // a knock has stopped the slow one
	eventually(t, patience, "the slow one hears", func() bool { return len(slow.payloads()) == 1 })
	const n = 300
	for i := range n {
		send(t, b, topic, fmt.Sprint("p ", i))
		if i%30 == 29 {
			check(t, fast.awaitPayload(fmt.Sprint("p ", i)))
		}
	}
	checkOrder(t, fast, map[string]int{"p": n})
	close(slow.release)
	check(t, slow.awaitPayload(fmt.Sprint("p ", n-1)))
	got := slow.payloads()[1:]
	if len(got) == 0 || len(got) > 64 {
		t.Fatalf("%d signals had waited", len(got))
	}
	for i, payload := range got {
		if want := fmt.Sprint("p ", n-len(got)+i); payload != want {
			t.Fatalf("%q came instead of %q: not the newest %d", payload, want, len(got))
		}
	}
}

func listenerClose(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	r := newRecorder()
	s := a.Listen(topic, r.heard, nil)
	other := listen(t, a, topic)
	heard(t, b, topic, r)
	send(t, b, topic, "before")
	check(t, r.awaitPayload("before"))
	s.Close()
	s.Close()
	send(t, b, topic, "after")
	check(t, other.awaitPayload("after")) // the topic's other listener goes on
	if got := r.payloads(); len(got) != 1 {
		t.Fatalf("after Close it heard %q", got[1:])
	}
	for i := range 100 { // the end of a listener must not hit the next
		s := a.Listen(newTopic(), func([]byte) {}, nil)
		s.Close()
		again := newRecorder()
		name := newTopic()
		first := a.Listen(name, func([]byte) {}, nil)
		first.Close()
		last := a.Listen(name, again.heard, nil)
		if i%20 == 0 {
			heard(t, b, name, again)
		}
		last.Close()
	}
}

func listenerCloseInside(t *testing.T, h Harness) {
	b := ready(t, h.Broker(t))
	topic := newTopic()
	listener := make(chan broker.Subscription, 1)
	closed := make(chan struct{})
	listener <- b.Listen(topic, func([]byte) {
		(<-listener).Close()
		close(closed)
	}, nil)
	listen(t, b, topic) // knocks
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("Close does not return in a listener")
	}
}

func signalAfterClose(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	r := newRecorder()
	s := a.Listen(topic, r.Message, nil)
	var running, closed, late atomic.Bool
	entered := make(chan struct{})
	other := a.Listen(topic, func([]byte) {
		if running.Swap(true) {
			return
		}
		close(entered)
		time.Sleep(50 * time.Millisecond)
		late.Store(closed.Load())
	}, nil)
	eventually(t, patience, "a signal is heard", func() bool {
		_ = b.Signal(topic, []byte("before")) // tried again
		select {
		case <-entered:
			return true
		default:
			return false
		}
	})
	check(t, a.Close())
	closed.Store(true)
	if late.Load() {
		t.Error("Close has not waited for the listener")
	}
	s.Close()
	other.Close()
	before := len(r.payloads())
	if err := a.Signal(topic, nil); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Signal after Close: %v", err)
	}
	a.Listen(topic, r.Message, nil).Close()
	a.Listen(topic, r.Message, nil)
	listen(t, b, topic) // knocks
	if got := r.payloads(); len(got) > before {
		t.Errorf("after Close it heard %q", got[before:])
	}
}

// signalOutage takes the connection from one who listens and sends.
func signalOutage(t *testing.T, h Harness, harm func(Fault)) {
	a := ready(t, h.Broker(t))
	b, fault := h.Proxied(t)
	ready(t, b)
	topic := newTopic()
	r, far := listen(t, b, topic), listen(t, a, topic)
	events := subscribe(t, a, topic)
	var stood atomic.Int32
	b.Listen(newTopic(), func([]byte) {}, func() { stood.Add(1) })
	eventually(t, patience, "the listener is told that signals come", func() bool { return stood.Load() == 1 })

	harm(fault)
	began := time.Now()
	for range 20_000 { // it may not be known yet that this is in vain
		_ = b.Signal(topic, []byte("in vain"))
	}
	if took := time.Since(began); took > slack {
		t.Errorf("20,000 signals took %v while the connection was down", took)
	}
	eventually(t, noticed, "Ready() shows the outage", func() bool { return b.Ready() != nil })
	eventually(t, noticed, "Signal tells of the outage", func() bool { return b.Signal(topic, []byte("in vain")) != nil })
	// Time for every connection to be given up, and for what waited to be dropped.
	time.Sleep(1500 * time.Millisecond)
	for range 20 {
		send(t, a, topic, "while away")
	}
	check(t, far.awaitPayload("while away"))
	atReturn := len(far.payloads())

	fault.Heal()
	ready(t, b)
	heard(t, a, topic, r) // without having to listen again
	eventually(t, patience, "the listener is told that signals come again", func() bool { return stood.Load() > 1 })
	heard(t, b, topic, far)
	send(t, a, topic, "end")
	check(t, r.awaitPayload("end"))
	check(t, far.awaitPayload("end"))
	for _, payload := range r.payloads() {
		if payload != "end" {
			t.Errorf("after the outage it heard %q", payload)
		}
	}
	for _, payload := range far.payloads()[atReturn:] {
		if payload == "in vain" {
			t.Errorf("what was sent in the outage came after it")
			break
		}
	}
	publish(t, a, topic, "end")
	check(t, events.awaitPayload("end"))
	if got := events.payloads(); len(got) != 1 {
		t.Errorf("the subscriber got %.200q", got)
	}
}
