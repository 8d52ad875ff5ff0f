package log_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"livesupport/chat/log"
	"livesupport/chat/log/logtest"
)

func TestFold(t *testing.T) {
	for name, test := range map[string]struct {
		log      []log.Event
		outcomes []log.Outcome
		support  string
		messages string // from:content@time/support, joined by spaces
	}{
		"registration only":        {[]log.Event{logtest.Registered}, []log.Outcome{log.Applied}, "", ""},
		"nothing before it":        {[]log.Event{logtest.UserSays("1", "a"), logtest.Registered, logtest.UserSays("2", "b")}, []log.Outcome{log.Ignored, log.Applied, log.Applied}, "", "User:b@30/"},
		"registered once":          {[]log.Event{logtest.Registered, {Kind: log.Registered, UserID: "x", ChatID: "x"}}, []log.Outcome{log.Applied, log.Ignored}, "", ""},
		"the first support wins":   {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.SupportJoins("s2")}, []log.Outcome{log.Applied, log.Applied, log.Refused}, "s1", ""},
		"a support's join twice":   {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.SupportJoins("s1")}, []log.Outcome{log.Applied, log.Applied, log.Applied}, "s1", ""},
		"writing before":           {[]log.Event{logtest.Registered, logtest.UserSays("1", "a"), logtest.SupportJoins("s1"), logtest.UserSays("2", "b")}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Applied}, "s1", "User:a@30/ User:b@30/s1"},
		"fencing":                  {[]log.Event{logtest.Registered, logtest.SupportSays("0", "s1", "early"), logtest.SupportJoins("s1"), logtest.SupportSays("1", "s2", "no"), logtest.SupportSays("2", "s1", "yes"), logtest.SupportSays("3", "", "no")}, []log.Outcome{log.Applied, log.Refused, log.Applied, log.Refused, log.Applied, log.Refused}, "s1", "Support:yes@30/s1"},
		"an event twice":           {[]log.Event{logtest.Registered, logtest.UserSays("1", "a"), logtest.UserSays("1", "a")}, []log.Outcome{log.Applied, log.Applied, log.Repeated}, "", "User:a@30/"},
		"a messageId twice":        {[]log.Event{logtest.Registered, logtest.WithMessageID(logtest.UserSays("1", "a"), "m"), logtest.WithMessageID(logtest.UserSays("2", "b"), "m")}, []log.Outcome{log.Applied, log.Applied, log.Repeated}, "", "User:a@30/"},
		"a messageId in two roles": {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.WithMessageID(logtest.UserSays("1", "a"), "m"), logtest.WithMessageID(logtest.SupportSays("2", "s1", "b"), "m")}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Applied}, "s1", "User:a@30/s1 Support:b@30/s1"},
		"an id is no messageId":    {[]log.Event{logtest.Registered, logtest.UserSays("m", "a"), logtest.WithMessageID(logtest.UserSays("2", "b"), "m")}, []log.Outcome{log.Applied, log.Applied, log.Applied}, "", "User:a@30/ User:b@30/"},
		"time does not run back":   {[]log.Event{logtest.Registered, logtest.At(logtest.UserSays("1", "a"), 50), logtest.At(logtest.UserSays("2", "b"), 40), logtest.At(logtest.UserSays("3", "c"), 60)}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Applied}, "", "User:a@50/ User:b@50/ User:c@60/"},
		"unknown kinds":            {[]log.Event{logtest.Registered, {}, {Kind: "later"}, logtest.UserSays("1", "a")}, []log.Outcome{log.Applied, log.Ignored, log.Ignored, log.Applied}, "", "User:a@30/"},
		"unknown role":             {[]log.Event{logtest.Registered, {Kind: log.Messaged, ID: "1", From: "Bot", Content: "x"}}, []log.Outcome{log.Applied, log.Ignored}, "", ""},
		"attendance":               {[]log.Event{logtest.Registered, {Kind: log.Attended, Server: "A"}, {Kind: log.Attended, Server: "A"}, {Kind: log.Attended}}, []log.Outcome{log.Applied, log.Applied, log.Ignored, log.Ignored}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var s log.State
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
	var s log.State
	s.Apply(logtest.Registered)
	for i := range log.MaxMessages {
		if got := s.Apply(logtest.UserSays(fmt.Sprint(i), "x")); got != log.Applied {
			t.Fatalf("message %d: outcome %d", i, got)
		}
	}
	if got := s.Apply(logtest.UserSays("more", "x")); got != log.Full {
		t.Errorf("one more: outcome %d, want Full", got)
	}
	if got := s.Apply(logtest.UserSays("0", "x")); got != log.Repeated {
		t.Errorf("a repetition in a full chat: outcome %d, want Repeated", got)
	}
	if len(s.Messages) != log.MaxMessages {
		t.Errorf("%d messages", len(s.Messages))
	}
}

func TestEventsSurviveTheLog(t *testing.T) {
	for _, e := range []log.Event{
		logtest.Registered, logtest.SupportJoins("s"), {Kind: log.Attended, At: 1, Server: "A"},
		logtest.WithMessageID(logtest.SupportSays("7", "s", "\x00 <&> \u2028 \U0001F600 \"\\"), "m"),
	} {
		if got := log.Decode(e.Encode()); !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, want %+v", got, e)
		}
	}
	for _, junk := range []string{"", "x", "[]", `{"kind":5}`, "\xff"} {
		if got := log.Decode([]byte(junk)); got != (log.Event{}) {
			t.Errorf("%q: got %+v", junk, got)
		}
	}
}

// FuzzFold applies any events of a small world in any order: what the fold tells
// keeps its promises, and whoever folds the same log comes to the same state.
func FuzzFold(f *testing.F) {
	f.Add([]byte{0, 1, 10, 20, 21, 30, 30, 11, 42})
	f.Add([]byte{0, 13, 13, 23, 33, 1, 2, 43, 53, 63})
	f.Fuzz(func(t *testing.T, choices []byte) {
		var s, again log.State
		ids := map[string]bool{}
		for _, choice := range choices {
			e := logtest.AnyEvent(choice)
			e = log.Decode(e.Encode())
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
			m := s.LastMessage()
			if before > 0 && m.At < s.Messages[before-1].At {
				t.Fatal("time runs backwards")
			}
			if m.SupportID != s.Support.ID {
				t.Fatalf("a message of support %q in the chat of %q", m.SupportID, s.Support.ID)
			}
			key := e.ID
			if e.MessageID != "" {
				key = string(e.From) + ":" + e.MessageID
			}
			if ids[key] {
				t.Fatalf("message %q twice", key)
			}
			ids[key] = true
		}
		if !reflect.DeepEqual(s, again) {
			t.Fatal("two folds of one log differ")
		}
	})
}
