package broker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"livesupport/broker/embedded"
)

func TestSubject(t *testing.T) {
	for topic, want := range map[string]string{
		"users":                            "users",
		"chat:":                            "chat.%",
		"chat:0af":                         "chat.0af",
		"chat:" + strings.Repeat("0f", 16): "chat." + strings.Repeat("0f", 16),
		"chat:A_-z9":                       "chat.A_-z9",
		"chat:*":                           "chat.%2A",
		"chat:>":                           "chat.%3E",
		"chat:a.b c":                       "chat.a%2Eb%20c",
		"chat:%":                           "chat.%25",
		"chat:%2A":                         "chat.%252A",
		"chat:\x00\xff\r\n":                "chat.%00%FF%0D%0A",
		"chat:é":                           "chat.%C3%A9",
	} {
		if got := subject(topic); got != want {
			t.Errorf("subject(%q) = %q, want %q", topic, got, want)
		}
		if got := topicOf(want); got != topic {
			t.Errorf("topicOf(%q) = %q, want %q", want, got, topic)
		}
	}
	for _, subject := range []string{markSubjects + "AB-1", "chat.%2", "chat.%2a", "chat.a%"} {
		if got := topicOf(subject); got != "" {
			t.Errorf("topicOf(%q) = %q, want none", subject, got)
		}
	}
}

// events is a Handler that hands on what it gets; a gap is "GAP".
type events chan string

func (e events) Message(payload []byte) { e <- string(payload) }
func (e events) Gap()                   { e <- "GAP" }

func (e events) next(t *testing.T) string {
	t.Helper()
	select {
	case got := <-e:
		return got
	case <-time.After(10 * time.Second):
		t.Fatal("nothing comes")
		return ""
	}
}

func newTestNATS(t *testing.T, url string) *NATS {
	t.Helper()
	b, err := NewNATS(NATSConfig{URLs: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() }) // it returns nil
	for end := time.Now().Add(10 * time.Second); b.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(b.Ready())
		}
	}
	return b
}

// TestNATSSlowConsumer holds up the dispatching goroutine until the connection's channel overflows.
// Whatever was dropped, and wherever, shows as a gap.
func TestNATSSlowConsumer(t *testing.T) {
	t.Parallel()
	server, err := embedded.StartNATS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	publisher, b := newTestNATS(t, server.URL()), newTestNATS(t, server.URL())
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	flood, tail := make(events, 4*maxLive), make(events, 10)
	for topic, h := range map[string]Handler{"chat:flood": flood, "chat:tail": tail} {
		if _, err := b.Subscribe(ctx, topic, h); err != nil {
			t.Fatal(err)
		}
	}
	b.topics.mu.Lock() // dispatch cannot hand on anything
	publish := func(topic, payload string) {
		if err := publisher.Publish(ctx, topic, []byte(payload)); err != nil {
			t.Error(err)
		}
	}
	const workers, each = 50, maxLive/50 + 10
	done := make(chan struct{})
	for range workers {
		go func() {
			for range each {
				publish("chat:flood", "x")
			}
			done <- struct{}{}
		}()
	}
	for range workers {
		<-done
	}
	publish("chat:tail", "dropped, and the last of its topic")
	long := "chat:" + strings.Repeat("\x00", maxTopic) // would end the connection
	if _, err := b.Subscribe(ctx, long, tail); err != errTopic {
		t.Error(err)
	}
	if err := b.Publish(ctx, long, nil); err != errTopic {
		t.Error(err)
	}
	tailed := b.link.Load().subs["chat:tail"]
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if dropped, err := tailed.Dropped(); err != nil || dropped > 0 {
			break
		} else if time.Now().After(end) {
			t.Error("the channel has room for everything")
			break
		}
	}
	b.topics.mu.Unlock()

	if got := tail.next(t); got != "GAP" {
		t.Fatalf("the topic whose only message was dropped got %q", got)
	}
	for flood.next(t) != "GAP" { // dropped by the connection or by the inbox, a gap in any case
	}
	publish("chat:tail", "after")
	for got := ""; got != "after"; got = tail.next(t) {
		if got != "" && got != "GAP" {
			t.Fatalf("got %q", got)
		}
	}
	if err := b.Ready(); err != nil {
		t.Error(fmt.Errorf("after an overflow: %w", err))
	}
}

// TestTopicsArrived checks what is concluded from the numbers of a topic's messages.
func TestTopicsArrived(t *testing.T) {
	ts := newTopics()
	defer ts.close()
	ts.connected()
	h := make(events, 20)
	ts.wg.Go(func() {
		<-ts.wake
		join, _ := ts.commands(10)
		for _, name := range join {
			ts.joinedAt(name, 10)
		}
	})
	if _, err := ts.subscribe(t.Context(), "users", h); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct{ seq, previous uint64 }{
		{9, 8},   // from before the subscription
		{12, 5},  // the first: the one before is older than the subscription
		{13, 12}, // the next
		{13, 12}, // again
		{17, 15}, // 15 is missing
		{15, 0},  // and comes too late, from a replay
		{18, 0},  // replayed
		{19, 18},
	} {
		ts.arrived("users", m.seq, m.previous, fmt.Append(nil, m.seq))
	}
	for _, want := range []string{"12", "13", "GAP", "17", "18", "19"} {
		if got := h.next(t); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}
