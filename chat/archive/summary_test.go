package archive_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"livesupport/chat/archive"
	"livesupport/chat/log"
)

// released is an event by which a support gives the chat away, or is lost.
func (c *talk) released(seconds float64, name string, lost bool, note string) *talk {
	e := log.Event{Kind: log.Released, At: at(seconds), From: log.RoleSupport, SupportID: chatID("s" + name), SupportName: name, Content: note, Lost: lost}
	if lost {
		e.From, e.SupportName = "", ""
		e.Seq = moves(c.entries)
	}
	return c.add(e)
}

// moves returns how often supports have come and gone in a log.
func moves(entries []string) int64 {
	var s log.State
	for _, entry := range entries {
		s.Apply(log.Decode([]byte(entry)))
	}
	return s.Moves
}

// The expected figures were computed by hand.
func TestSummaries(t *testing.T) {
	const second = 1_000_000
	for name, test := range map[string]struct {
		log  []string
		want archive.Summary
	}{
		"answered, rated and closed by the user": {
			begin("a", 0).as("sub-1", "Ana", "billing").waits(2).joins(32.5, "Vika", "vika@x").user(40, "hello").support(62, "Vika", "hi").
				user(70, "bye").rates(80, 2, "hm").closes(90, log.RoleUser, "").rates(95, 5, "").ends(210).Entries,
			archive.Summary{
				ChatID: chatID("a"), UserID: chatID("ua"), Username: "Ana", Verified: true, Sub: "sub-1", Team: "billing",
				Agents:  []archive.Agent{{Agent: "vika@x", Name: "Vika", Held: 57.5 * second, Messages: 1}},
				Started: at(0), Ended: at(90), EndedBy: "User", Messages: 3, Score: 5,
				Wait: 30.5 * second, FirstAnswer: 60 * second, Duration: 90 * second, UserMessages: 2, Answers: 1,
			},
		},
		"nobody came, over midnight": {
			begin("b", 43_100).waits(43_110).user(43_150, "anybody?").ends(43_270).Entries,
			archive.Summary{
				ChatID: chatID("b"), UserID: chatID("ub"), Username: "Nika", Started: at(43_100), Ended: at(43_270), EndedBy: "expiry",
				Messages: 1, Wait: -1, FirstAnswer: -1, Duration: 170 * second, UserMessages: 1, Missed: true,
			},
		},
		"the user gave up": {
			begin("c", 0).waits(1).user(2, "hurry").closes(300, log.RoleUser, "").ends(420).Entries,
			archive.Summary{
				ChatID: chatID("c"), UserID: chatID("uc"), Username: "Nika", Started: at(0), Ended: at(300), EndedBy: "User",
				Messages: 1, Wait: -1, FirstAnswer: -1, Duration: 300 * second, UserMessages: 1, Missed: true, Abandoned: true,
			},
		},
		"a transfer, and the first comes back": {
			begin("d", 0).waits(10).joins(20, "Vika", "").released(120, "Vika", false, "for Bob").user(130, "?").joins(150, "Bob", "").support(160, "Bob", "hi").
				released(200, "Bob", true, "").add(log.Event{Kind: log.SupportJoined, At: at(230), SupportID: chatID("sVika2"), SupportName: "Vika"}).
				add(log.Event{Kind: log.Closed, At: at(260), From: log.RoleObserver}).ends(380).Entries,
			archive.Summary{
				ChatID: chatID("d"), UserID: chatID("ud"), Username: "Nika",
				Agents:  []archive.Agent{{Name: "Vika", Held: (100 + 30) * second}, {Name: "Bob", Held: 50 * second, Messages: 1}},
				Started: at(0), Ended: at(260), EndedBy: "Support", Messages: 2,
				Wait: 10 * second, FirstAnswer: 150 * second, Duration: 260 * second, UserMessages: 1, Answers: 1, Transfers: 1,
			},
		},
		"a support without a word": {
			begin("e", 0).waits(1).joins(5, "Vika", "").ends(125).Entries,
			archive.Summary{
				ChatID: chatID("e"), UserID: chatID("ue"), Username: "Nika", Agents: []archive.Agent{{Name: "Vika", Held: 120 * second}},
				Started: at(0), Ended: at(125), EndedBy: "expiry", Wait: 4 * second, FirstAnswer: -1, Duration: 125 * second,
			},
		},
		"repeated, refused and foreign entries": {
			append(begin("f", 0).waits(1).add(log.Event{Kind: log.Messaged, ID: "x", At: at(2), From: log.RoleUser, Content: "once"}).
				add(log.Event{Kind: log.Messaged, ID: "x", At: at(3), From: log.RoleUser, Content: "once"}).support(4, "Nobody", "no").
				add(log.Event{Kind: "later", At: at(1000)}).ends(122).Entries, "junk", `{"kind":"message","id":"y","at":1,"from":"User","content":"behind the end"}`),
			archive.Summary{
				ChatID: chatID("f"), UserID: chatID("uf"), Username: "Nika", Started: at(0), Ended: at(122), EndedBy: "expiry",
				Messages: 1, Wait: -1, FirstAnswer: -1, Duration: 122 * second, UserMessages: 1, Missed: true,
			},
		},
	} {
		if got := archive.Summarize(test.log); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, test.want)
		}
	}
}

// FuzzSummarize: nothing that a log may hold breaks its summary.
func FuzzSummarize(f *testing.F) {
	f.Add(strings.Join(begin("a", 0).waits(1).joins(2, "Vika", "").user(3, "x").closes(4, log.RoleSupport, "Vika").ends(5).Entries, "\n"))
	f.Add(strings.Join(begin("d", 0).waits(10).joins(20, "Vika", "").released(120, "Vika", false, "note").ends(380).Entries, "\n"))
	f.Fuzz(func(t *testing.T, text string) {
		entries := strings.Split(text, "\n")
		s := archive.Summarize(entries)
		held := int64(0)
		for _, a := range s.Agents {
			held += a.Held
		}
		if s.Messages != s.UserMessages+s.Answers || held < 0 || s.Wait < -1 || s.FirstAnswer < -1 || s.Missed && len(s.Agents) > 0 {
			t.Fatalf("%+v", s)
		}
		if _, err := archive.Frames(entries); err != nil {
			t.Fatal(err)
		}
		archive.Transcribe(entries)
	})
}

// What is written for agents alone is in what agents get, and in no transcript.
func TestNotesAreInNoTranscript(t *testing.T) {
	entries := begin("a", 0).waits(1).joins(2, "Vika", "").note(3, "Vika", "canary").user(4, "hello\nthere").released(5, "Vika", false, "canary").
		closes(6, log.RoleUser, "").ends(7).Entries
	got := archive.Transcribe(entries)
	want := `2026-11-28 12:00:00 -- Nika has started the chat (times are UTC) --
2026-11-28 12:00:02 -- Vika has joined the chat --
2026-11-28 12:00:04 Nika: hello
    there
2026-11-28 12:00:05 -- Vika has left the chat --
2026-11-28 12:00:06 -- Nika has ended the chat --
`
	if got != want {
		t.Errorf("got:\n%s", got)
	}
	frames, err := archive.Frames(entries)
	if err != nil || strings.Count(string(frames), "canary") != 2 {
		t.Errorf("%s %v", frames, err)
	}
}

// After a definition has changed, everything besides the logs is computed again.
func TestRecompute(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		url := db.url(t)
		a := open(t, archive.Config{URL: url})
		for i := range 450 {
			take(t, a, begin(fmt.Sprint("c", i), 0).as("sub", "Ana", "billing").waits(2).joins(5, "Vika", "vika@x").user(6, "refund").ends(float64(100+i)))
		}
		before, err := a.Report(t.Context(), archive.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		archive.Execute(t, url, `UPDATE chats SET wait = 1, messages = 77, team = NULL, missed = TRUE`)
		archive.Execute(t, url, `DELETE FROM agents`)
		if got := found(t, a, "refund", archive.Filter{Team: "billing", Agent: "vika@x"}); len(got) != 0 {
			t.Fatal(got)
		}
		if n, err := a.Recompute(t.Context()); n != 450 || err != nil {
			t.Fatal(n, err)
		}
		after, err := a.Report(t.Context(), archive.Filter{})
		if err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%v\nbefore %+v\nafter  %+v", err, before, after)
		}
		if got := found(t, a, "refund", archive.Filter{Team: "billing", Agent: "vika@x"}); len(got) != 100 {
			t.Fatal(len(got))
		}
	})
}

// The expected figures of a period were computed by hand.
func TestReport(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		a := open(t, archive.Config{URL: db.url(t)})
		take(t, a,
			// Waits of 10, 20 and 60 s, first answers after 15, 45 and none, on two days.
			begin("a", 0).as("", "A", "billing").waits(0).joins(10, "Vika", "vika").support(15, "Vika", "hi").user(20, "x").rates(30, 4, "").closes(100, log.RoleUser, "").ends(220),
			begin("b", 0).waits(0).joins(20, "Bob", "bob").support(45, "Bob", "hi").released(100, "Bob", false, "").joins(110, "Vika", "vika").rates(120, 1, "").ends(200),
			begin("c", 43_000).waits(43_000).joins(43_060, "Vika", "vika").user(43_070, "x").ends(43_300), // the next day
			begin("d", 43_100).waits(43_100).user(43_110, "hello?").ends(43_230),
		)
		f := func(v float64) *float64 { return &v }
		q := func(median, p90 float64) archive.Quantile { return archive.Quantile{Median: f(median), P90: f(p90)} }
		name := func(s string) *string { return &s }
		first := archive.Figures{Chats: 2, Messages: 3, Score: f(2.5), Wait: q(15, 19), FirstAnswer: q(30, 42), Duration: q(150, 190)}
		second := archive.Figures{Chats: 2, Missed: 1, Messages: 2, Wait: q(60, 60), Duration: q(215, 283)}
		want := archive.Report{
			Figures: archive.Figures{Chats: 4, Missed: 1, Messages: 5, Score: f(2.5), Wait: q(20, 52), FirstAnswer: q(30, 42), Duration: q(165, 270)},
			Days:    []archive.DayFigures{{Day: "2026-11-28", Figures: first}, {Day: "2026-11-29", Figures: second}},
			Agents: []archive.AgentFigures{
				{ChatAgent: archive.ChatAgent{Agent: name("vika"), Name: "Vika"}, Figures: archive.Figures{Chats: 3, Messages: 4, Score: f(2.5), Wait: q(20, 52), FirstAnswer: q(30, 42), Duration: q(200, 280)}},
				{ChatAgent: archive.ChatAgent{Agent: name("bob"), Name: "Bob"}, Figures: archive.Figures{Chats: 1, Messages: 1, Score: f(1), Wait: q(20, 20), FirstAnswer: q(45, 45), Duration: q(200, 200)}},
			},
		}
		for what, test := range map[string]struct {
			filter archive.Filter
			want   func(archive.Report) bool
		}{
			"all":      {archive.Filter{}, func(r archive.Report) bool { return reflect.DeepEqual(r, want) }},
			"a day":    {archive.Filter{From: at(43_200), To: at(129_600)}, func(r archive.Report) bool { return reflect.DeepEqual(r.Figures, second) }},
			"an agent": {archive.Filter{Agent: "bob"}, func(r archive.Report) bool { return reflect.DeepEqual(r.Figures, want.Agents[1].Figures) }},
			"a team":   {archive.Filter{Team: "billing"}, func(r archive.Report) bool { return r.Chats == 1 && *r.Wait.Median == 10 }},
			"nothing is null": {archive.Filter{From: at(1e6)}, func(r archive.Report) bool {
				return r.Chats == 0 && r.Score == nil && r.Wait.Median == nil && len(r.Days) == 0
			}},
		} {
			r, err := a.Report(t.Context(), test.filter)
			if err != nil || !test.want(r) {
				text, _ := json.Marshal(r)
				t.Errorf("%s: %v %s", what, err, text)
			}
		}
	})
}
