package log_test

import (
	"fmt"
	"math/rand"
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
		"the end of a chat":        {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.WithMessageID(logtest.UserSays("1", "a"), "m"), logtest.Closes(log.RoleSupport, "s2"), logtest.Closes(log.RoleUser, ""), logtest.Closes(log.RoleSupport, "s1"), logtest.UserSays("2", "b"), logtest.SupportSays("3", "s1", "c"), logtest.WithMessageID(logtest.UserSays("4", "a"), "m"), logtest.SupportJoins("s1"), logtest.SupportJoins("s2")}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Refused, log.Applied, log.Ignored, log.Over, log.Over, log.Repeated, log.Applied, log.Refused}, "s1", "User:a@30/s1"},
		"the end of a wait":        {[]log.Event{logtest.Registered, logtest.Closes(log.RoleSupport, ""), logtest.Closes("Bot", ""), logtest.Closes(log.RoleUser, ""), logtest.SupportJoins("s1")}, []log.Outcome{log.Applied, log.Refused, log.Ignored, log.Applied, log.Over}, "", ""},
		"an end that not all know": {[]log.Event{logtest.Registered, logtest.Attends("A", 0), logtest.Closes(log.RoleUser, ""), logtest.UserSays("1", "a")}, []log.Outcome{log.Applied, log.Applied, log.Unknown, log.Applied}, "", "User:a@30/"},
		"an end that all know":     {[]log.Event{logtest.Registered, logtest.Attends("A", 1), logtest.Closes(log.RoleUser, ""), logtest.UserSays("1", "a")}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Over}, "", ""},
		"notes":                    {[]log.Event{logtest.Registered, logtest.Notes(log.RoleSupport, "s1", "1", "x"), logtest.SupportJoins("s1"), logtest.Notes(log.RoleSupport, "s1", "2", "x"), logtest.Notes(log.RoleSupport, "s1", "2", "x"), logtest.Notes(log.RoleSupport, "s2", "3", "x"), logtest.Notes(log.RoleUser, "", "4", "x"), logtest.Notes(log.RoleObserver, "", "5", "x"), logtest.Closes(log.RoleObserver, ""), logtest.Notes(log.RoleObserver, "", "6", "x")}, []log.Outcome{log.Applied, log.Refused, log.Applied, log.Applied, log.Ignored, log.Refused, log.Refused, log.Applied, log.Applied, log.Over}, "s1", ""},
		"of a newer fold":          {[]log.Event{{Kind: log.RegisteredFor, Fold: log.Version + 1, UserID: "u", ChatID: "c"}, logtest.UserSays("1", "a")}, []log.Outcome{log.Ignored, log.Ignored}, "", ""},
		"of this fold":             {[]log.Event{{Kind: log.RegisteredFor, Fold: log.Version, UserID: "u", ChatID: "c"}, logtest.UserSays("1", "a")}, []log.Outcome{log.Applied, log.Applied}, "", "User:a@30/"},
		"marks only grow":          {[]log.Event{logtest.Registered, logtest.Reads(log.RoleUser, 1), logtest.UserSays("1", "a"), logtest.Reads(log.RoleUser, 1), logtest.Reads(log.RoleUser, 1), logtest.Reads(log.RoleSupport, 1), logtest.Reads(log.RoleUser, 0), logtest.Reads("Bot", 1)}, []log.Outcome{log.Applied, log.Ignored, log.Applied, log.Applied, log.Ignored, log.Applied, log.Ignored, log.Ignored}, "", "User:a@30/"},
		"ratings":                  {[]log.Event{logtest.Registered, logtest.Rates(3, ""), logtest.SupportJoins("s1"), logtest.Rates(0, ""), logtest.Rates(6, ""), logtest.Rates(5, "fine"), logtest.Closes(log.RoleUser, ""), logtest.Rates(1, "")}, []log.Outcome{log.Applied, log.Ignored, log.Applied, log.Ignored, log.Ignored, log.Applied, log.Applied, log.Applied}, "s1", ""},
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

func TestFoldKeepsWhatWasRegistered(t *testing.T) {
	var s log.State
	s.Apply(log.Event{Kind: log.Registered, UserID: "u", ChatID: "c", Verified: true, Team: "billing", Content: `{"language":"de"}`})
	s.Apply(log.Event{Kind: log.Registered, UserID: "x", ChatID: "c", Team: "sales", Content: `{}`})
	if s.UserID != "u" || !s.Verified || s.Team != "billing" || s.Details != `{"language":"de"}` {
		t.Errorf("the state is %+v", s)
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
		logtest.Registered, logtest.SupportJoins("s"),
		{Kind: log.Registered, At: 1, UserID: "u", ChatID: "c", Team: "billing", Content: `{"page":"https://shop.example/?a=\"b\"&c"}`},
		{Kind: log.Attended, At: 1, Server: "A"},
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
	f.Add([]byte{0, 1, 3, 19, 29, 39, 4, 69, 6, 49, 3})
	f.Add([]byte{0, 1, 10, 20, 21, 30, 30, 11, 42})
	f.Add([]byte{0, 13, 13, 23, 33, 1, 2, 43, 53, 63})
	f.Fuzz(func(t *testing.T, choices []byte) {
		var s, again log.State
		ids := map[string]bool{}
		for _, choice := range choices {
			e := logtest.AnyEvent(choice)
			e = log.Decode(e.Encode())
			before, support, read, closed := len(s.Messages), s.Support, s.Read, s.Closed
			outcome := s.Apply(e)
			if got := again.Apply(e); got != outcome {
				t.Fatalf("not deterministic: %d and %d", outcome, got)
			}
			if support.ID != "" && s.Support != support {
				t.Fatalf("the support has changed from %v to %v", support, s.Support)
			}
			if s.Read.User < read.User || s.Read.Support < read.Support || max(s.Read.User, s.Read.Support) > int64(len(s.Messages)) {
				t.Fatalf("the marks were %v and are %v of %d messages", read, s.Read, len(s.Messages))
			}
			if closed.From != "" && (s.Closed != closed || s.Support != support || len(s.Messages) != before) {
				t.Fatal("something has happened after the end")
			}
			for _, m := range s.Messages {
				if m.Content == "canary" {
					t.Fatal("a note is a message")
				}
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

// An old server has the fold from before there were versions: it knows the first
// four kinds, and asks nobody before it appends.
type oldFold struct{ state log.State }

func (f *oldFold) apply(e log.Event) log.Outcome {
	switch e.Kind {
	case log.Registered, log.Attended, log.SupportJoined, log.Messaged:
		return f.state.Apply(e)
	}
	return log.Ignored
}

// While old and new servers serve one chat, in whatever order they come to it, what
// each of them shows is the same, or the chat is gone for the old one.
func TestTwoFoldsOfOneLog(t *testing.T) {
	for seed := range int64(300) {
		random := rand.New(rand.NewSource(seed))
		entries := []log.Event{logtest.Registered, logtest.Attends("new", log.Version)}
		var old *oldFold // once it has attended
		newer := func() *log.State {
			var s log.State
			for _, e := range entries {
				s.Apply(e)
			}
			return &s
		}
		closed := false
		for i := range 12 {
			id := fmt.Sprint(i)
			switch random.Intn(5) {
			case 0: // the old server gets a Join
				entries = append(entries, logtest.Attends("old", 0))
				old = &oldFold{}
				for _, e := range entries {
					old.apply(e)
				}
				if old.state.ChatID == "" { // the chat is gone, it says, and attends to nothing
					old, entries = nil, entries[:len(entries)-1]
				}
			case 1: // the new one is to end the chat
				s := newer()
				if !s.Knows(log.Closed) || s.Closed.From != "" {
					continue
				}
				closed = true
				if first := s.Registration(log.Closed); first != nil {
					entries[0] = *first
				}
				entries = append(entries, logtest.Closes(log.RoleUser, ""))
			default:
				entries = append(entries, logtest.UserSays(id, id))
			}
			if old != nil {
				old.state = log.State{}
				for _, e := range entries {
					old.apply(e)
				}
				if got, want := old.state.Messages, newer().Messages; !reflect.DeepEqual(got, want) {
					t.Fatalf("seed %d: the old server shows %v, the new one %v", seed, got, want)
				}
			}
		}
		if s := newer(); s.Closed.From != "" != closed {
			t.Fatalf("seed %d: told that the chat is closed: %t, by the log: %t", seed, closed, s.Closed.From != "")
		}
	}
}
