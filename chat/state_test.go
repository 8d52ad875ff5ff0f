package chat

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The vocabulary of the fold's tests.
var registered = Event{Kind: Registered, At: 10, UserID: "u", Username: "Nika", ChatID: "c"}

func supportJoins(id string) Event {
	return Event{Kind: SupportJoined, At: 20, SupportID: id, SupportName: "name of " + id}
}

func userSays(id, content string) Event {
	return Event{Kind: Messaged, ID: id, At: 30, From: RoleUser, Content: content}
}

func supportSays(id, support, content string) Event {
	return Event{Kind: Messaged, ID: id, At: 30, From: RoleSupport, SupportID: support, Content: content}
}

func withMessageID(e Event, id string) Event { e.MessageID = id; return e }

func at(e Event, t int64) Event { e.At = t; return e }

func TestFold(t *testing.T) {
	for name, test := range map[string]struct {
		log      []Event
		outcomes []Outcome
		support  string
		messages string // from:content@time/support, joined by spaces
	}{
		"registration only":        {[]Event{registered}, []Outcome{Applied}, "", ""},
		"nothing before it":        {[]Event{userSays("1", "a"), registered, userSays("2", "b")}, []Outcome{Ignored, Applied, Applied}, "", "User:b@30/"},
		"registered once":          {[]Event{registered, {Kind: Registered, UserID: "x", ChatID: "x"}}, []Outcome{Applied, Ignored}, "", ""},
		"the first support wins":   {[]Event{registered, supportJoins("s1"), supportJoins("s2")}, []Outcome{Applied, Applied, Refused}, "s1", ""},
		"a support's join twice":   {[]Event{registered, supportJoins("s1"), supportJoins("s1")}, []Outcome{Applied, Applied, Applied}, "s1", ""},
		"writing before":           {[]Event{registered, userSays("1", "a"), supportJoins("s1"), userSays("2", "b")}, []Outcome{Applied, Applied, Applied, Applied}, "s1", "User:a@30/ User:b@30/s1"},
		"fencing":                  {[]Event{registered, supportSays("0", "s1", "early"), supportJoins("s1"), supportSays("1", "s2", "no"), supportSays("2", "s1", "yes"), supportSays("3", "", "no")}, []Outcome{Applied, Refused, Applied, Refused, Applied, Refused}, "s1", "Support:yes@30/s1"},
		"an event twice":           {[]Event{registered, userSays("1", "a"), userSays("1", "a")}, []Outcome{Applied, Applied, Repeated}, "", "User:a@30/"},
		"a messageId twice":        {[]Event{registered, withMessageID(userSays("1", "a"), "m"), withMessageID(userSays("2", "b"), "m")}, []Outcome{Applied, Applied, Repeated}, "", "User:a@30/"},
		"a messageId in two roles": {[]Event{registered, supportJoins("s1"), withMessageID(userSays("1", "a"), "m"), withMessageID(supportSays("2", "s1", "b"), "m")}, []Outcome{Applied, Applied, Applied, Applied}, "s1", "User:a@30/s1 Support:b@30/s1"},
		"an id is no messageId":    {[]Event{registered, userSays("m", "a"), withMessageID(userSays("2", "b"), "m")}, []Outcome{Applied, Applied, Applied}, "", "User:a@30/ User:b@30/"},
		"time does not run back":   {[]Event{registered, at(userSays("1", "a"), 50), at(userSays("2", "b"), 40), at(userSays("3", "c"), 60)}, []Outcome{Applied, Applied, Applied, Applied}, "", "User:a@50/ User:b@50/ User:c@60/"},
		"unknown kinds":            {[]Event{registered, {}, {Kind: "later"}, userSays("1", "a")}, []Outcome{Applied, Ignored, Ignored, Applied}, "", "User:a@30/"},
		"unknown role":             {[]Event{registered, {Kind: Messaged, ID: "1", From: "Bot", Content: "x"}}, []Outcome{Applied, Ignored}, "", ""},
		"attendance":               {[]Event{registered, {Kind: Attended, Server: "A"}, {Kind: Attended, Server: "A"}, {Kind: Attended}}, []Outcome{Applied, Applied, Ignored, Ignored}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var s State
			for i, e := range test.log {
				if got := s.Apply(e); got != test.outcomes[i] {
					t.Errorf("entry %d: outcome %d, want %d", i, got, test.outcomes[i])
				}
			}
			if s.Support.ID != test.support {
				t.Errorf("support %q, want %q", s.Support.ID, test.support)
			}
			var messages []string
			for _, m := range s.Messages {
				messages = append(messages, fmt.Sprintf("%s:%s@%d/%s", m.From, m.Content, m.At, m.SupportID))
			}
			if got := strings.Join(messages, " "); got != test.messages {
				t.Errorf("messages %q, want %q", got, test.messages)
			}
		})
	}
}

func TestFoldHoldsSoManyMessages(t *testing.T) {
	var s State
	s.Apply(registered)
	for i := range MaxMessages {
		if got := s.Apply(userSays(fmt.Sprint(i), "x")); got != Applied {
			t.Fatalf("message %d: outcome %d", i, got)
		}
	}
	if got := s.Apply(userSays("more", "x")); got != Full {
		t.Errorf("one more: outcome %d, want Full", got)
	}
	if got := s.Apply(userSays("0", "x")); got != Repeated {
		t.Errorf("a repetition in a full chat: outcome %d, want Repeated", got)
	}
	if len(s.Messages) != MaxMessages {
		t.Errorf("%d messages", len(s.Messages))
	}
}

func TestEventsSurviveTheLog(t *testing.T) {
	for _, e := range []Event{
		registered, supportJoins("s"), {Kind: Attended, At: 1, Server: "A"},
		withMessageID(supportSays("7", "s", "\x00 <&> \u2028 \U0001F600 \"\\"), "m"),
	} {
		if got := decodeEvent(e.encode()); !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, want %+v", got, e)
		}
	}
	for _, junk := range []string{"", "x", "[]", `{"kind":5}`, "\xff"} {
		if got := decodeEvent([]byte(junk)); got != (Event{}) {
			t.Errorf("%q: got %+v", junk, got)
		}
	}
}

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
		e := Event{Kind: Messaged, At: 1}
		payload := encodeNews(42, e.encode(), test.traceparent)
		_, entry, err := decodeNews(payload)
		if string(payload) != test.payload || err != nil || decodeEvent(entry) != e || traceparentOf(entry) != test.traceparent {
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

// FuzzFold applies any events of a small world in any order: what the fold tells
// keeps its promises, and whoever folds the same log comes to the same state.
func FuzzFold(f *testing.F) {
	f.Add([]byte{0, 1, 10, 20, 21, 30, 30, 11, 42})
	f.Add([]byte{0, 13, 13, 23, 33, 1, 2, 43, 53, 63})
	f.Fuzz(func(t *testing.T, choices []byte) {
		var s, again State
		ids := map[string]bool{}
		for _, choice := range choices {
			e := anyEvent(choice)
			e = decodeEvent(e.encode())
			before, support := len(s.Messages), s.Support
			outcome := s.Apply(e)
			if got := again.Apply(e); got != outcome {
				t.Fatalf("not deterministic: %d and %d", outcome, got)
			}
			if support.ID != "" && s.Support != support {
				t.Fatalf("the support has changed from %v to %v", support, s.Support)
			}
			if len(s.Messages) == before {
				continue
			}
			m := s.lastMessage()
			if before > 0 && m.At < s.Messages[before-1].At {
				t.Fatal("time runs backwards")
			}
			if m.SupportID != s.Support.ID {
				t.Fatalf("a message of support %q in the chat of %q", m.SupportID, s.Support.ID)
			}
			if key := messageKey(e.From, e.MessageID, e.ID); ids[key] {
				t.Fatalf("message %q twice", key)
			} else {
				ids[key] = true
			}
		}
		if !reflect.DeepEqual(s, again) {
			t.Fatal("two folds of one log differ")
		}
	})
}

// anyEvent makes one of 256 events that get into each other's way.
func anyEvent(choice byte) Event {
	n := choice / 10
	pick := func(of ...string) string { return of[int(n)%len(of)] }
	switch choice % 10 {
	case 0:
		return registered
	case 1:
		return supportJoins(pick("s1", "s2", "s3"))
	case 2:
		return Event{Kind: Attended, Server: pick("A", "B", "")}
	case 3, 4:
		return at(userSays(pick("1", "2", "3", "4", "5"), "u"), int64(100-n))
	case 5:
		return withMessageID(userSays(pick("6", "7", "8"), "v"), pick("1", "m", "n", "o"))
	case 6, 7:
		return supportSays(pick("1", "9", "10"), pick("s1", "s2", "s3", ""), "s")
	case 8:
		return withMessageID(supportSays(pick("11", "12", "13"), pick("s1", "s2"), "t"), pick("m", "n"))
	}
	return Event{Kind: Kind(pick("", "later", "message")), From: Role(pick("", "Bot"))}
}

// FuzzRooms lets two servers append events in any interleaving, and brings each
// the other's news late, twice, in any order or not at all: both end in the
// state of the log, and have told every message to their session once.
func FuzzRooms(f *testing.F) {
	f.Add([]byte{1, 10, 3, 21, 130, 13, 200, 23, 140, 33, 230, 43, 150, 231, 5, 201, 15, 139})
	f.Add([]byte{3, 3, 13, 13, 23, 23, 200, 201, 202, 203, 204, 205, 210, 211})
	f.Fuzz(func(t *testing.T, choices []byte) {
		service := &Service{metrics: newMetrics(), closed: true, logger: slog.New(slog.DiscardHandler), frame: func(b []byte) []byte { return append(bytes.Clone(b), '\n') }, log: log{ttl: time.Minute}}
		var rooms [2]*room
		var peers [2]*peer
		var news [2][]int64
		entries := []string{string(registered.encode())}
		for i := range rooms {
			peers[i] = &peer{}
			rooms[i] = &room{service: service, chatID: "c", sessions: []*Session{{service: service, peer: peers[i]}}}
			rooms[i].take(0, entries)
		}
		for i := 0; i+1 < len(choices); i += 2 {
			me := int(choices[i] % 2)
			switch choice := choices[i+1]; {
			case choice < 200: // appends, and so do retries of the same event
				e := anyEvent(choice)
				entries = append(entries, string(e.encode()))
				seq := int64(len(entries))
				news[1-me] = append(news[1-me], seq)
				rooms[me].offer(seq, e)
			case choice < 240 && len(news[me]) > 0: // hears of something
				seq := news[me][int(choice)%len(news[me])]
				rooms[me].offer(seq, decodeEvent([]byte(entries[seq-1])))
			default: // reads what is missing
				after := rooms[me].last
				rooms[me].take(after, entries[after:])
			}
		}
		var want State
		for _, entry := range entries {
			want.Apply(decodeEvent([]byte(entry)))
		}
		for i, r := range rooms {
			after := r.last
			r.take(after, entries[after:])
			if !reflect.DeepEqual(r.state, want) {
				t.Fatalf("server %d: %+v\nthe log says: %+v", i, r.state, want)
			}
			told := peers[i].messages()
			if len(told) != len(want.Messages) {
				t.Fatalf("server %d has told %d messages of %d", i, len(told), len(want.Messages))
			}
			for n := range told {
				if told[n] != string(appendMessagePayload(nil, want.UserID, &want.Messages[n], false)) {
					t.Fatalf("server %d: message %d is %s", i, n, told[n])
				}
			}
		}
	})
}
