package brokertest

import (
	"slices"
	"testing"
)

// RunApart checks that brokers with different prefixes hear nothing of each other, although
// they share their servers.
func RunApart(t *testing.T, harnesses ...Harness) {
	topics := []string{"users", newTopic(), "chat:", "chat:users"}
	var events, signals []*recorder
	for _, h := range harnesses {
		b := ready(t, h.Broker(t))
		for _, topic := range topics {
			events = append(events, subscribe(t, b, topic))
			signals = append(signals, listen(t, b, topic))
		}
	}
	var want []string
	for i, h := range harnesses {
		b := ready(t, h.Broker(t))
		for _, topic := range topics {
			payload := string(rune('a'+i)) + topic
			publish(t, b, topic, payload)
			send(t, b, topic, payload)
			want = append(want, payload)
		}
	}
	for i, payload := range want {
		check(t, events[i].awaitPayload(payload))
		check(t, signals[i].awaitPayload(payload))
	}
	for i, payload := range want {
		if got := events[i].payloads(); !slices.Equal(got, []string{payload}) {
			t.Errorf("a subscriber got %q, want %q", got, payload)
		}
		if got := signals[i].payloads(); !slices.Equal(got, []string{payload}) {
			t.Errorf("a listener got %q, want %q", got, payload)
		}
	}
}
