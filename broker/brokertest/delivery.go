package brokertest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"livesupport/broker"
)

func anyBytes(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	r := subscribe(t, a, topic)
	want := hostilePayloads(broker.MaxPayload)
	for _, payload := range want {
		publish(t, b, topic, payload)
	}
	check(t, r.awaitPayload("end"))
	if got := r.payloads(); !slices.Equal(got, want) {
		t.Fatalf("got %d payloads, %.200q; want %d, %.200q", len(got), got, len(want), want)
	}
}

// hostilePayloads returns payloads of up to most bytes that a broker might change or take for
// a command. The last one is "end".
func hostilePayloads(most int) []string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return []string{
		"text", "", "\x00", "\r\n", "+OK\r\n", "$-1\r\n", "\xff\xfe\xc3\x28", string(all),
		`{"type":"UserJoined"}`, strings.Repeat("\x00\xff", most/2), "end",
	}
}

func tooLarge(t *testing.T, h Harness) {
	b := ready(t, h.Broker(t))
	topic := newTopic()
	r := subscribe(t, b, topic)
	err := b.Publish(testContext(t), topic, bytes.Repeat([]byte("x"), broker.MaxPayload+1))
	if !errors.Is(err, broker.ErrTooLarge) {
		t.Fatalf("Publish of MaxPayload+1 bytes: %v, want ErrTooLarge", err)
	}
	publish(t, b, topic, "end")
	check(t, r.awaitPayload("end"))
	if got := r.payloads(); len(got) != 1 {
		t.Fatalf("got %d payloads, want only the one that was published with success", len(got))
	}
}

func fanOut(t *testing.T, h Harness) {
	topic := newTopic()
	var brokers []broker.Broker
	var recorders []*recorder
	for range 3 {
		b := ready(t, h.Broker(t))
		brokers = append(brokers, b)
		recorders = append(recorders, subscribe(t, b, topic), subscribe(t, b, topic))
	}
	for i, b := range brokers {
		publish(t, b, topic, fmt.Sprint("from ", i))
	}
	for _, r := range recorders {
		for i := range brokers {
			check(t, r.awaitPayload(fmt.Sprint("from ", i)))
		}
	}
}

func payloadIsTheHandlers(t *testing.T, h Harness) {
	b := ready(t, h.Broker(t))
	topic := newTopic()
	spoil := handlerFunc(func(payload []byte) {
		for i := range payload {
			payload[i] = '!'
		}
	})
	if _, err := b.Subscribe(testContext(t), topic, spoil); err != nil {
		t.Fatal(err)
	}
	r := subscribe(t, b, topic)
	if _, err := b.Subscribe(testContext(t), topic, spoil); err != nil {
		t.Fatal(err)
	}
	payload := []byte("mine")
	for range 100 {
		check(t, b.Publish(testContext(t), topic, payload))
		copy(payload, "mine") // allowed as soon as Publish has returned
	}
	publish(t, b, topic, "end")
	check(t, r.awaitPayload("end"))
	for _, got := range r.payloads() {
		if got != "mine" && got != "end" {
			t.Fatalf("another handler's change shows: %q", got)
		}
	}
}

// hostileTopics checks that topics are taken literally, and that no topic gets what is
// published on another one.
func hostileTopics(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	names := hostileNames()
	recorders := make([]*recorder, len(names))
	for i, name := range names {
		recorders[i] = subscribe(t, a, name)
	}
	for round := range 2 {
		for _, name := range names {
			publish(t, b, name, fmt.Sprint(round, name))
		}
	}
	for i, name := range names {
		check(t, recorders[i].awaitPayload("1"+name))
		if got, want := recorders[i].payloads(), []string{"0" + name, "1" + name}; !slices.Equal(got, want) {
			t.Errorf("topic %q got %.300q", name, got)
		}
	}
}

// hostileNames returns topics that a broker might mistake for a pattern or a command.
func hostileNames() []string {
	unique := strings.TrimPrefix(newTopic(), "chat:") + "-"
	names := []string{"users"}
	for _, name := range []string{
		"", "*", "**", ">", "?", "[a]", "a", "A", "a.b", "a.*", "a.>", "a b", " a", "a ", "a\t", "a\n", "a\r\nPING\r\n",
		"é", "e\u0301", "é\n", "\xff", "\x00", "\x00a", "%2a", "%2A", "%", "_", "\\", "\\*", "$SYS", "_INBOX.a", "{a}", "{b}a",
		strings.Repeat("x", 150), strings.Repeat("x", 151), strings.Repeat(" ", 100), strings.Repeat("é", 75),
	} {
		names = append(names, "chat:"+unique+name)
	}
	names = append(names, "chat:", "chat:*", "chat:>", "chat:.", "chat:..", "chat:a.b")
	return names
}

func subscribeReturnsReady(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	for i := range 100 {
		topic := newTopic()
		r := subscribe(t, a, topic)
		publish(t, b, topic, fmt.Sprint(i))
		check(t, r.awaitPayload(fmt.Sprint(i)))
	}
}

func onePublishersOrder(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	topic := newTopic()
	near, far := subscribe(t, b, topic), subscribe(t, a, topic)
	const n = 1000
	for i := range n {
		publish(t, b, topic, fmt.Sprint("p ", i))
	}
	for _, r := range []*recorder{near, far} {
		check(t, r.awaitPayload(fmt.Sprint("p ", n-1)))
		checkOrder(t, r, map[string]int{"p": n})
	}
}

func manyPublishersOrder(t *testing.T, h Harness) {
	topic := newTopic()
	var brokers []broker.Broker
	var recorders []*recorder
	for range 3 {
		b := ready(t, h.Broker(t))
		brokers = append(brokers, b)
		recorders = append(recorders, subscribe(t, b, topic))
	}
	const publishers, n = 9, 100
	errs := make(chan error, publishers)
	want := make(map[string]int)
	for p := range publishers {
		want[fmt.Sprint("p", p)] = n
		go func() {
			var err error
			for i := 0; i < n && err == nil; i++ {
				err = brokers[p%len(brokers)].Publish(testContext(t), topic, fmt.Appendf(nil, "p%d %d", p, i))
			}
			errs <- err
		}()
	}
	for range publishers {
		check(t, <-errs)
	}
	for _, r := range recorders {
		for p := range publishers {
			check(t, r.awaitPayload(fmt.Sprintf("p%d %d", p, n-1)))
		}
		checkOrder(t, r, want)
	}
}

// checkOrder checks that r got "name 0", "name 1" and so on from every publisher, as many as
// want says. They must come in order, apart from repetitions, and without a gap.
func checkOrder(t *testing.T, r *recorder, want map[string]int) {
	t.Helper()
	next := make(map[string]int)
	events, _ := r.all()
	for _, e := range events {
		var name string
		var i int
		if e.gap {
			t.Fatal("a gap without any fault")
		}
		if _, err := fmt.Sscanf(e.payload, "%s %d", &name, &i); err != nil {
			t.Fatalf("payload %q: %v", e.payload, err)
		}
		if i > next[name] {
			t.Fatalf("%s: %d came before %d", name, i, next[name])
		}
		next[name] = max(next[name], i+1)
	}
	for name, n := range want {
		if next[name] != n {
			t.Fatalf("%s: got %d payloads, want %d", name, next[name], n)
		}
	}
}

func manyTopics(t *testing.T, h Harness) {
	a, b := ready(t, h.Broker(t)), ready(t, h.Broker(t))
	const n, workers = 2000, 20
	topics := make([]string, n)
	for i := range topics {
		topics[i] = newTopic()
	}
	recorders := make([]*recorder, n)
	errs := make(chan error, workers)
	var subscriptions sync.Map
	for w := range workers {
		go func() {
			for i := w; i < n; i += workers {
				recorders[i] = newRecorder()
				s, err := a.Subscribe(testContext(t), topics[i], recorders[i])
				if err != nil {
					errs <- err
					return
				}
				subscriptions.Store(i, s)
			}
			errs <- nil
		}()
	}
	for range workers {
		check(t, <-errs)
	}
	for i := 0; i < n; i += 50 {
		publish(t, b, topics[i], fmt.Sprint(i))
	}
	for i := 0; i < n; i += 50 {
		check(t, recorders[i].awaitPayload(fmt.Sprint(i)))
	}
	for i, r := range recorders {
		if got := r.payloads(); i%50 != 0 && len(got) > 0 || len(got) > 1 {
			t.Fatalf("topic %d got %q", i, got)
		}
	}
	subscriptions.Range(func(_, s any) bool {
		s.(broker.Subscription).Close()
		return true
	})
	r := subscribe(t, a, topics[0])
	publish(t, b, topics[0], "again")
	check(t, r.awaitPayload("again"))
}
