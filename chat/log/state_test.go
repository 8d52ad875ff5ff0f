package log_test

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"livesupport/chat/log"
	"livesupport/chat/log/logtest"

	"github.com/go-json-experiment/json"
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
		"given on":                 {[]log.Event{logtest.Registered, logtest.Releases(log.RoleSupport, "s1"), logtest.SupportJoins("s1"), logtest.SupportSays("1", "s1", "a"), logtest.Releases(log.RoleUser, "s1"), logtest.Releases(log.RoleSupport, "s2"), logtest.Releases(log.RoleSupport, "s1"), logtest.Releases(log.RoleSupport, "s1"), logtest.SupportSays("2", "s1", "stale"), logtest.UserSays("3", "b"), logtest.SupportJoins("s1"), logtest.SupportJoins("s2"), logtest.SupportSays("4", "s1", "stale"), logtest.SupportSays("5", "s2", "c")}, []log.Outcome{log.Applied, log.Refused, log.Applied, log.Applied, log.Ignored, log.Refused, log.Applied, log.Refused, log.Refused, log.Applied, log.Refused, log.Applied, log.Refused, log.Applied}, "s2", "Support:a@30/s1 User:b@60/ Support:c@60/s2"},
		"given on by an observer":  {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.Releases(log.RoleObserver, "s1"), logtest.Closes(log.RoleSupport, "s1"), logtest.Notes(log.RoleSupport, "s1", "1", "x")}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Refused, log.Refused}, "", ""},
		"given on after the end":   {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.Closes(log.RoleUser, ""), logtest.Releases(log.RoleSupport, "s1"), logtest.Loses("s1", 1)}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Over, log.Over}, "s1", ""},
		"the end of one given on":  {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.Releases(log.RoleSupport, "s1"), logtest.Closes(log.RoleUser, ""), logtest.SupportJoins("s2")}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Applied, log.Over}, "", ""},
		"not all know of giving":   {[]log.Event{logtest.Registered, logtest.Attends("A", 1), logtest.SupportJoins("s1"), logtest.Releases(log.RoleSupport, "s1"), logtest.SupportSays("1", "s1", "a")}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Unknown, log.Applied}, "s1", "Support:a@30/s1"},
		"lost":                     {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.Loses("s1", 0), logtest.Loses("s1", 1), logtest.Loses("s1", 2), logtest.SupportSays("1", "s1", "stale"), logtest.SupportJoins("s2"), logtest.Returns("s1", 3)}, []log.Outcome{log.Applied, log.Applied, log.Refused, log.Applied, log.Refused, log.Refused, log.Applied, log.Refused}, "s2", ""},
		"lost and taken back":      {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.Loses("s1", 1), logtest.Returns("s1", 1), logtest.Returns("s2", 2), logtest.Releases(log.RoleSupport, "s2"), logtest.Returns("s1", 4)}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Refused, log.Applied, log.Applied, log.Refused}, "", ""},
		"taken back, and late":     {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.Loses("s1", 1), logtest.Returns("s1", 2), logtest.Loses("s1", 1), logtest.SupportSays("1", "s1", "a"), logtest.Loses("s1", 3), logtest.Returns("s1", 2)}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Applied, log.Refused, log.Applied, log.Applied, log.Refused}, "", "Support:a@60/s1"},
		"there after all":          {[]log.Event{logtest.Registered, logtest.SupportJoins("s1"), logtest.Connects("B", "s1"), logtest.Loses("s1", 1), logtest.Connects("B", "s1"), logtest.Connects("", "s1"), logtest.Connects("C", "s2"), logtest.Disconnects("A", "s1"), logtest.Disconnects("B", "s1"), logtest.Loses("s1", 2), logtest.Loses("s1", 3), logtest.Connects("B", "s1")}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Refused, log.Ignored, log.Ignored, log.Ignored, log.Ignored, log.Applied, log.Refused, log.Applied, log.Ignored}, "", ""},
		"an end that all know":     {[]log.Event{logtest.Registered, logtest.Attends("A", 1), logtest.Closes(log.RoleUser, ""), logtest.UserSays("1", "a")}, []log.Outcome{log.Applied, log.Applied, log.Applied, log.Over}, "", ""},
		"notes":                    {[]log.Event{logtest.Registered, logtest.Notes(log.RoleSupport, "s1", "1", "x"), logtest.SupportJoins("s1"), logtest.Notes(log.RoleSupport, "s1", "2", "x"), logtest.Notes(log.RoleSupport, "s1", "2", "x"), logtest.Notes(log.RoleSupport, "s2", "3", "x"), logtest.Notes(log.RoleUser, "", "4", "x"), logtest.Notes(log.RoleObserver, "", "5", "x"), logtest.Closes(log.RoleObserver, ""), logtest.Notes(log.RoleObserver, "", "6", "x")}, []log.Outcome{log.Applied, log.Refused, log.Applied, log.Applied, log.Ignored, log.Refused, log.Refused, log.Applied, log.Applied, log.Over}, "s1", ""},
		"of a newer fold":          {[]log.Event{{Kind: log.RegisteredFor, Fold: log.Version + 1, UserID: "u", ChatID: "c"}, logtest.UserSays("1", "a")}, []log.Outcome{log.Ignored, log.Ignored}, "", ""},
		"of this fold":             {[]log.Event{{Kind: log.RegisteredFor, Fold: log.Version, UserID: "u", ChatID: "c"}, logtest.UserSays("1", "a")}, []log.Outcome{log.Applied, log.Applied}, "", "User:a@30/"},
		"marks only grow":          {[]log.Event{logtest.Registered, logtest.Reads(log.RoleUser, 1), logtest.UserSays("1", "a"), logtest.Reads(log.RoleUser, 1), logtest.Reads(log.RoleUser, 1), logtest.Reads(log.RoleSupport, 1), logtest.Reads(log.RoleUser, 0), logtest.Reads("Bot", 1)}, []log.Outcome{log.Applied, log.Ignored, log.Applied, log.Applied, log.Ignored, log.Applied, log.Ignored, log.Ignored}, "", "User:a@30/"},
		"files": {[]log.Event{
			logtest.Registered, logtest.Carrying(logtest.UserSays("1", ""), "f1"), logtest.Uploads(log.RoleUser, "", "f1", 2), logtest.Uploads(log.RoleUser, "", "f1", 2),
			logtest.Uploads(log.RoleSupport, "s1", "f2", 2), logtest.SupportJoins("s1"), logtest.Uploads(log.RoleSupport, "s1", "f2", 2), logtest.Uploads(log.RoleUser, "", "f3", 2), logtest.Uploads("Bot", "", "f3", 9),
			logtest.Carrying(logtest.UserSays("2", "a"), "f1", "f3"), logtest.Carrying(logtest.UserSays("3", "b"), "f1"), logtest.Discards("f1"), logtest.Discards("f2"), logtest.Discards("f2"),
			logtest.Carrying(logtest.UserSays("4", ""), "f2"), logtest.Uploads(log.RoleUser, "", "f3", 2), logtest.Closes(log.RoleUser, ""), logtest.Uploads(log.RoleUser, "", "f4", 9),
		}, []log.Outcome{
			log.Applied, log.Missing, log.Applied, log.Applied,
			log.Refused, log.Applied, log.Applied, log.Full, log.Ignored,
			log.Missing, log.Applied, log.Refused, log.Applied, log.Applied,
			log.Missing, log.Applied, log.Applied, log.Over,
		}, "s1", "User:b@70/s1"},
		"files that not all know": {[]log.Event{logtest.Registered, logtest.Attends("A", 2), logtest.Uploads(log.RoleUser, "", "f1", 2)}, []log.Outcome{log.Applied, log.Applied, log.Unknown}, "", ""},
		"ratings":                 {[]log.Event{logtest.Registered, logtest.Rates(3, ""), logtest.SupportJoins("s1"), logtest.Rates(0, ""), logtest.Rates(6, ""), logtest.Rates(5, "fine"), logtest.Closes(log.RoleUser, ""), logtest.Rates(1, "")}, []log.Outcome{log.Applied, log.Ignored, log.Applied, log.Ignored, log.Ignored, log.Applied, log.Applied, log.Applied}, "s1", ""},
		"announcements":           {[]log.Event{logtest.Registered, logtest.Announces(0), logtest.Announces(0), logtest.Announces(1), logtest.SupportJoins("s1"), logtest.Announces(2), logtest.Releases(log.RoleSupport, "s1"), logtest.Announces(1), logtest.Announces(2), logtest.Closes(log.RoleUser, ""), logtest.Announces(3)}, []log.Outcome{log.Applied, log.Applied, log.Ignored, log.Applied, log.Applied, log.Ignored, log.Applied, log.Ignored, log.Applied, log.Applied, log.Ignored}, "", ""},
		"attendance":              {[]log.Event{logtest.Registered, {Kind: log.Attended, Server: "A"}, {Kind: log.Attended, Server: "A"}, {Kind: log.Attended}}, []log.Outcome{log.Applied, log.Applied, log.Ignored, log.Ignored}, "", ""},
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

func TestFoldOfAReleasedChat(t *testing.T) {
	const agent, team = "dodo", "billing"
	joined := logtest.SupportJoins("s1")
	joined.Agent, joined.Server = "vika", "A"
	given := logtest.Noting(logtest.Releases(log.RoleSupport, "s1"), "r1", "in a hurry")
	given.Agent = agent
	over := logtest.Noting(logtest.Releases(log.RoleObserver, "s2"), "r2", "take this")
	over.Team = team

	var s log.State
	s.Apply(logtest.Registered)
	s.Apply(logtest.At(logtest.Attends("A", log.Version), 12))
	s.Apply(logtest.At(logtest.Attends("B", log.Version), 14))
	waits := logtest.At(logtest.Attends("B", log.Version), 16)
	waits.From = log.RoleUser
	if got := s.Apply(waits); got != log.Applied || s.Since != 16 || len(s.Servers) != 2 {
		t.Fatalf("outcome %d of one who waits anew, since %d", got, s.Since)
	}
	s.Apply(joined)
	support := log.Support{ID: "s1", Name: "name of s1", Agent: "vika", Since: 20}
	if s.Support != support || s.Since != 16 || !slices.Equal(s.SupportAt, []string{"A"}) {
		t.Fatalf("the state is %+v", s)
	}
	s.Apply(given)
	if want := (log.Release{Support: support, By: "name of Support", Agent: agent, Note: "in a hurry", At: 60}); s.Released() != want || s.Since != 16 || s.Team != "" {
		t.Errorf("after the first release: %+v", s)
	}
	if !s.Had("s1") || s.Had("s2") || len(s.SupportAt) > 0 || !s.HasNote("r1") || s.Notes[0].SupportID != "s1" || s.Notes[0].SupportName != "name of Support" {
		t.Errorf("after the first release: %+v", s)
	}
	s.Apply(logtest.SupportJoins("s2"))
	if s.Released() != (log.Release{}) || !s.Supported {
		t.Errorf("after the second support: %+v", s)
	}
	s.Apply(over)
	if s.Team != team || s.Released().Agent != "" || !s.HasNote("r2") || s.Notes[1].SupportID != "" {
		t.Errorf("after the second release: %+v", s)
	}
}

// If a chat takes no more notes, a transfer with a note is refused as a whole.
func TestFoldGivesOnWithTheNoteOrNotAtAll(t *testing.T) {
	var s log.State
	s.Apply(logtest.Registered)
	s.Apply(logtest.SupportJoins("s1"))
	for i := range log.MaxNotes {
		s.Apply(logtest.Notes(log.RoleSupport, "s1", fmt.Sprint(i), "x"))
	}
	if got := s.Apply(logtest.Noting(logtest.Releases(log.RoleSupport, "s1"), "r", "one more")); got != log.Full || s.Support.ID != "s1" || len(s.Notes) != log.MaxNotes {
		t.Errorf("with a note: outcome %d, support %q, %d notes", got, s.Support.ID, len(s.Notes))
	}
	if got := s.Apply(logtest.Releases(log.RoleSupport, "s1")); got != log.Applied {
		t.Errorf("without one: outcome %d", got)
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
		logtest.Noting(logtest.Releases(log.RoleObserver, "s"), "1", "canary"), logtest.Loses("s", 3), logtest.Disconnects("A", "s"),
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

// TestEventsAreEncodedAsDeclared: Encode, which is written by hand, knows every field.
func TestEventsAreEncodedAsDeclared(t *testing.T) {
	check := func(e log.Event) {
		t.Helper()
		want, err := json.Marshal(&e)
		if got := e.Encode(); err != nil || string(got) != string(want) {
			t.Errorf("got  %s\nwant %s, %v", got, want, err)
		}
	}
	for choice := range 256 {
		check(logtest.AnyEvent(byte(choice)))
	}
	check(log.Event{})
	// Each field by itself, and all of them.
	var all log.Event
	values := reflect.ValueOf(&all).Elem()
	for i := range values.NumField() {
		one := reflect.New(values.Type()).Elem()
		for _, field := range []reflect.Value{one.Field(i), values.Field(i)} {
			switch field.Kind() {
			case reflect.String:
				field.SetString("<\"Дана\"&\u2028>\x00")
			case reflect.Int64:
				field.SetInt(-1697998739360855)
			case reflect.Uint8:
				field.SetUint(255)
			case reflect.Bool:
				field.SetBool(true)
			case reflect.Pointer:
				field.Set(reflect.ValueOf(&log.Files{{ID: "f", Name: "\"<a>.png"}}))
			default:
				t.Fatalf("a field of the kind %v", field.Kind())
			}
		}
		check(one.Interface().(log.Event))
	}
	check(all)
	check(log.Event{Files: &log.Files{}})
}

// FuzzFold applies any events of a small world in any order. The state keeps its promises, and
// everybody who folds the same log gets the same state.
func FuzzFold(f *testing.F) {
	f.Add([]byte{0, 1, 3, 19, 29, 39, 4, 69, 6, 49, 3})
	f.Add([]byte{0, 1, 10, 20, 21, 30, 30, 11, 42})
	f.Add([]byte{0, 13, 13, 23, 33, 1, 2, 43, 53, 63})
	f.Add([]byte{0, 1, 6, 169, 3, 1, 6, 11, 179, 21, 6})       // given on, twice
	f.Add([]byte{0, 1, 6, 199, 6, 219, 6, 199, 11, 229, 8, 8}) // lost, taken back, lost
	f.Add([]byte{0, 1, 239, 249, 199, 209, 159, 169, 11})
	f.Fuzz(func(t *testing.T, choices []byte) {
		var s, again log.State
		ids := map[string]bool{}
		for _, choice := range choices {
			e := logtest.AnyEvent(choice)
			e = log.Decode(e.Encode())
			before, support, read, closed, moves := len(s.Messages), s.Support, s.Read, s.Closed, s.Moves
			had, former := s.Had(e.SupportID), s.Released()
			outcome := s.Apply(e)
			if got := again.Apply(e); got != outcome {
				t.Fatalf("not deterministic: %d and %d", outcome, got)
			}
			released := e.Kind == log.Released && outcome == log.Applied
			if support.ID != "" && s.Support != support && !(released && s.Support.ID == "" && s.Released().Support == support) {
				t.Fatalf("the support has changed from %v to %v", support, s.Support)
			}
			if s.Support != support != (s.Moves > moves) && e.Kind != log.Connected && e.Kind != log.Disconnected {
				t.Fatalf("%d moves, and now %d", moves, s.Moves)
			}
			if s.Support.ID != "" && (s.Released() != (log.Release{}) || s.Had(s.Support.ID)) {
				t.Fatalf("it has support %q after %+v", s.Support.ID, s.Released())
			}
			if s.Support.ID != "" && support.ID == "" && had && !(former.Lost && former.Support.ID == e.SupportID && e.Seq == moves) {
				t.Fatalf("support %q is back after %+v", s.Support.ID, former)
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
			if m.From == log.RoleSupport && e.SupportID != support.ID {
				t.Fatalf("support %q has written in the chat of %q", e.SupportID, support.ID)
			}
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

// An old server has a fold of version 0 or 1, and does not know the kinds of events that came
// later. It asks nobody before it appends.
type oldFold struct {
	version uint8
	state   log.State
}

func (f *oldFold) apply(e log.Event) {
	switch e.Kind {
	case log.Registered, log.Attended, log.SupportJoined, log.Messaged:
	case log.RegisteredFor:
		if e.Fold > f.version {
			return
		}
	case log.Closed, log.Noted:
		if f.version < 1 {
			return
		}
	default:
		return
	}
	f.state.Apply(e)
}

// While old and new servers serve one chat, in whatever order they come to it, all of them show the
// same; or the old one says that the chat is gone.
func TestTwoFoldsOfOneLog(t *testing.T) {
	for seed := range int64(600) {
		random := rand.New(rand.NewSource(seed))
		entries := []log.Event{logtest.Registered, logtest.Attends("new", log.Version)}
		version := uint8(seed % 2)
		var old *oldFold // once it has attended
		newer := func() *log.State {
			var s log.State
			for _, e := range entries {
				s.Apply(e)
			}
			return &s
		}
		decide := func(e log.Event) bool { // the new server appends it, if it may
			s := newer()
			if !s.Knows(e.Kind) || s.Closed.From != "" {
				return false
			}
			if first := s.Registration(e.Kind); first != nil {
				entries[0] = *first
			}
			entries = append(entries, e)
			return true
		}
		closed, supports := false, 0
		for i := range 16 {
			id, support := fmt.Sprint(i), newer().Support.ID
			switch random.Intn(8) {
			case 0: // the old server gets a Join
				entries = append(entries, logtest.Attends("old", version))
				old = &oldFold{version: version}
				for _, e := range entries {
					old.apply(e)
				}
				if old.state.ChatID == "" { // the chat is gone, it says, and attends to nothing
					old, entries = nil, entries[:len(entries)-1]
				}
			case 1:
				closed = decide(logtest.Closes(log.RoleUser, "")) || closed
			case 2:
				decide(logtest.Releases(log.RoleSupport, support))
			case 3:
				decide(logtest.Loses(support, newer().Moves))
			case 4: // on whatever server
				supports++
				entries = append(entries, logtest.SupportJoins(fmt.Sprint("s", supports)))
			case 5: // maybe one who does not have the chat any more
				entries = append(entries, logtest.SupportSays(id, fmt.Sprint("s", random.Intn(supports+1)), id))
			default:
				entries = append(entries, logtest.UserSays(id, id))
			}
			if old != nil {
				old.state = log.State{}
				for _, e := range entries {
					old.apply(e)
				}
				now := newer()
				if got, want := old.state.Messages, now.Messages; !reflect.DeepEqual(got, want) || old.state.Support != now.Support {
					t.Fatalf("seed %d: the old server shows %v of support %v, the new one %v of %v", seed, got, old.state.Support, want, now.Support)
				}
			}
		}
		if s := newer(); s.Closed.From != "" != closed {
			t.Fatalf("seed %d: told that the chat is closed: %t, by the log: %t", seed, closed, s.Closed.From != "")
		}
	}
}
