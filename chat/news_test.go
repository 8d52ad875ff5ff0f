package chat

import (
	"testing"

	"livesupport/chat/log"
	"livesupport/chat/log/logtest"
)

func TestNews(t *testing.T) {
	for _, entry := range [][]byte{nil, []byte(`{"kind":"message"}`), {}} {
		seq, got, err := decodeNews(encodeNews(42, entry, ""))
		if err != nil || seq != 42 || string(got) != string(entry) || (got == nil) != (entry == nil) {
			t.Errorf("%q: got %d %q %v", entry, seq, got, err)
		}
	}
	for name, test := range map[string]struct{ traceparent, payload string }{
		"without a header": {"", `42 {"kind":"message","at":1}`},
		"with one":         {"00-0a-0b-01", `42 {"traceparent":"00-0a-0b-01","kind":"message","at":1}`},
	} {
		e := log.Event{Kind: log.Messaged, At: 1}
		payload := encodeNews(42, e.Encode(), test.traceparent)
		_, entry, err := decodeNews(payload)
		if string(payload) != test.payload || err != nil || log.Decode(entry) != e || traceparentOf(entry) != test.traceparent {
			t.Errorf("%s: %s, %v", name, payload, err)
		}
	}
	for _, junk := range []string{"", "{}", header, `{"kind":"message","traceparent":"x"}`} {
		if got := traceparentOf([]byte(junk)); got != "" {
			t.Errorf("%q: traceparent %q", junk, got)
		}
	}
	for _, junk := range []string{"", " ", "0", "x", "-1", "5x", "99999999999999999999", "{}"} {
		if _, _, err := decodeNews([]byte(junk)); err == nil {
			t.Errorf("%q: no error", junk)
		}
	}
}

// TestNewsOfEvents: messages alone have to be looked at when their position is known.
func TestNewsOfEvents(t *testing.T) {
	for choice := range 256 {
		e := logtest.AnyEvent(byte(choice))
		e.ID = "1"
		if got, want := isEvent(e.Encode()), e.Kind != log.Messaged; got != want {
			t.Errorf("%s: %t", e.Kind, got)
		}
		if e.Kind != log.Messaged && !new(room).isKnown(e) {
			t.Errorf("%s would have been read again", e.Kind)
		}
	}
	for _, unclear := range []string{``, `{}`, `{"traceparent":"x","kind":"closed"}`, `{"kind":"message"}`} {
		if isEvent([]byte(unclear)) {
			t.Errorf("%s need not be looked at", unclear)
		}
	}
}
