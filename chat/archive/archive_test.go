package archive_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/archive/archivetest"
	"livesupport/chat/follow"
	"livesupport/chat/log"
)

// noon is the time of the chats in these tests.
var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// at returns the time that many seconds after noon, in microseconds.
func at(seconds float64) int64 {
	return noon.Add(time.Duration(seconds * float64(time.Second))).UnixMicro()
}

// a database is one to test on.
type database struct {
	name string
	url  func(t *testing.T) string // of an empty one
}

// onEachDatabase runs a test on SQLite and on PostgreSQL.
func onEachDatabase(t *testing.T, test func(t *testing.T, db database)) {
	t.Run("SQLite", func(t *testing.T) {
		test(t, database{"SQLite", func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "a?b#c%d.db") }})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		server := archivetest.StartPostgres(t)
		test(t, database{"PostgreSQL", func(*testing.T) string { return server.NewDatabase() }})
	})
}

// open opens an archive until the end of the test.
func open(t *testing.T, cfg archive.Config) *archive.Archive {
	t.Helper()
	a := launch(t, cfg)
	if err := a.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

func launch(t *testing.T, cfg archive.Config) *archive.Archive {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return noon.Add(time.Hour) }
	}
	a, err := archive.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// chatID is an id that ends in a name.
func chatID(name string) string { return strings.Repeat("0", 32-len(name)) + name }

// A talk makes a chat's log.
type talk struct {
	id      string
	entries []string
	number  int
}

// begin starts a chat whose user comes that many seconds after noon.
func begin(name string, seconds float64) *talk {
	c := &talk{id: chatID(name)}
	return c.add(log.Event{Kind: log.Registered, At: at(seconds), UserID: chatID("u" + name), Username: "Nika", ChatID: c.id})
}

func (c *talk) add(e log.Event) *talk {
	c.number++
	if e.ID == "" {
		e.ID = fmt.Sprint("e", c.number)
	}
	c.entries = append(c.entries, string(e.Encode()))
	return c
}

func (c *talk) waits(seconds float64) *talk {
	return c.add(log.Event{Kind: log.Attended, At: at(seconds), Server: "A", Fold: log.Version})
}

func (c *talk) joins(seconds float64, name, agent string) *talk {
	return c.add(log.Event{Kind: log.SupportJoined, At: at(seconds), SupportID: chatID("s" + name), SupportName: name, Agent: agent})
}

func (c *talk) user(seconds float64, content string) *talk {
	return c.add(log.Event{Kind: log.Messaged, At: at(seconds), From: log.RoleUser, Content: content})
}

func (c *talk) support(seconds float64, name, content string) *talk {
	return c.add(log.Event{Kind: log.Messaged, At: at(seconds), From: log.RoleSupport, SupportID: chatID("s" + name), Content: content})
}

func (c *talk) note(seconds float64, name, content string) *talk {
	return c.add(log.Event{Kind: log.Noted, At: at(seconds), From: log.RoleSupport, SupportID: chatID("s" + name), SupportName: name, Content: content})
}

func (c *talk) rates(seconds float64, score uint8, comment string) *talk {
	return c.add(log.Event{Kind: log.Rated, At: at(seconds), Score: score, Content: comment})
}

func (c *talk) closes(seconds float64, from log.Role, name string) *talk {
	e := log.Event{Kind: log.Closed, At: at(seconds), From: from}
	if from == log.RoleSupport {
		e.SupportID = chatID("s" + name)
	}
	return c.add(e)
}

// ends is the log as the archive gets it.
func (c *talk) ends(seconds float64) follow.Log {
	c.add(log.Event{Kind: log.Ended, At: at(seconds)})
	return follow.Log{ChatID: c.id, Entries: c.entries}
}

// as gives the user a token.
func (c *talk) as(sub, username, team string) *talk {
	e := log.Decode([]byte(c.entries[0]))
	e.Verified, e.Agent, e.Username, e.Team = true, sub, username, team
	c.entries[0] = string(e.Encode())
	return c
}

// found returns the chats that a search finds, by the ends of their ids.
func found(t *testing.T, a *archive.Archive, text string, f archive.Filter) []string {
	t.Helper()
	chats, _, err := a.Search(t.Context(), text, f, "", 100)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	ids := []string{}
	for _, c := range chats {
		ids = append(ids, strings.TrimLeft(c.ChatID, "0"))
	}
	return ids
}

func take(t *testing.T, a *archive.Archive, logs ...follow.Log) {
	t.Helper()
	if err := a.Take(t.Context(), logs); err != nil {
		t.Fatal(err)
	}
}

func TestEachChatOnce(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		url := db.url(t)
		one, two := open(t, archive.Config{URL: url}), open(t, archive.Config{URL: url})
		var logs []follow.Log
		for i := range 90 {
			// All of them end in the same microsecond, which never happens in practice. So some
			// share a number.
			logs = append(logs, begin(fmt.Sprint("c", i), 0).waits(1).joins(2, "Vika", fmt.Sprint("agent", i)).user(3, "hello").ends(100))
		}
		logs = append(logs, begin("empty", 0).waits(1).ends(120), begin("never", 0).ends(120))
		take(t, one, logs[10:20]...)       // which are known then
		logs = append(logs, logs[5:15]...) // which come twice
		backwards := slices.Clone(logs)
		slices.Reverse(backwards)
		done := make(chan error, 4)
		for i, a := range []*archive.Archive{one, two, one, two} {
			go func() { done <- a.Take(t.Context(), [][]follow.Log{logs, backwards}[i%2]) }()
		}
		for range 4 {
			if err := <-done; err != nil && !errors.Is(err, follow.ErrAway) {
				t.Fatal(err)
			}
		}
		take(t, one, logs...)
		take(t, two, logs...)
		ids := found(t, two, "", archive.Filter{})
		if len(ids) != 90 || slices.Contains(ids, "empty") {
			t.Fatalf("%d chats: %v", len(ids), ids)
		}
		for i, l := range logs[:90] {
			entries, err := two.Entries(t.Context(), l.ChatID)
			if err != nil || !reflect.DeepEqual(entries, l.Entries) {
				t.Fatalf("%v %v", entries, err)
			}
			if ids := found(t, one, "hel", archive.Filter{Agent: fmt.Sprint("agent", i)}); len(ids) != 1 || chatID(ids[0]) != l.ChatID {
				t.Fatalf("agent %d has %v", i, ids)
			}
		}
	})
}

func TestSearch(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		a := open(t, archive.Config{URL: db.url(t)})
		take(t, a,
			begin("a", 0).as("sub-a", "Ana María", "billing").waits(1).joins(2, "Vika", "vika@example.com").
				user(3, "Where is my REFUND for order-1042? My mail is ana@example.com").note(4, "Vika", "difficult Kundin aus Straßburg").ends(100),
			begin("b", 0).waits(1).joins(2, "Bob", "").user(3, "返金はどこですか 🙂").support(4, "Bob", "привет, ΟΔΥΣΣΕΥΣ").ends(200),
			begin("c", 0).as("", "Ölaf", "sales").waits(1).user(2, "hello\x00 'quotes' \"double\" * OR NEAR( -- ; %_").ends(300),
		)
		for text, want := range map[string][]string{
			"": {"c", "b", "a"}, "  ": {"c", "b", "a"},
			"refund": {"a"}, "Refund order": {"a"}, "refund hello": {}, "ref": {"a"}, "efund": {},
			"1042": {"a"}, "ana@example.com": {"a"}, "MARÍA": {"a"}, "maria": {}, "mari\u0301a": {"a"}, "vika": {"a"},
			"DIFFICULT": {"a"}, "strassburg": {"a"}, "STRASSBURG": {"a"},
			"返金": {"b"}, "金は": {"b"}, "返": {"b"}, "金返": {}, "🙂": {"b"}, "🙁": {}, "ПРИВЕТ": {"b"}, "οδυσσευς": {"b"}, "bob": {"b"},
			"öl": {"c"}, "quotes": {"c"}, "'quotes'": {"c"}, `"double"`: {"c"}, "OR": {"c", "a"}, "near": {"c"},
			"***": {}, "' OR 2=2 --": {}, `") OR ("`: {"c", "a"}, "hello:*": {"c"}, "hello | x": {}, "!hello": {"c"}, "\x00": {},
			strings.Repeat("y", 5000): {}, strings.Repeat("( ", 3000): {}, strings.Repeat("hello ", 3000): {"c"},
		} {
			if got := found(t, a, text, archive.Filter{}); !slices.Equal(got, want) {
				t.Errorf("%.40q finds %v, want %v", text, got, want)
			}
		}
		for name, test := range map[string]struct {
			f    archive.Filter
			want []string
		}{
			"from is in":          {archive.Filter{From: at(200)}, []string{"c", "b"}},
			"to is not":           {archive.Filter{To: at(200)}, []string{"a"}},
			"both":                {archive.Filter{From: at(100), To: at(300)}, []string{"b", "a"}},
			"team":                {archive.Filter{Team: "billing"}, []string{"a"}},
			"another team":        {archive.Filter{Team: "bill"}, []string{}},
			"agent":               {archive.Filter{Agent: "vika@example.com"}, []string{"a"}},
			"agent without token": {archive.Filter{Agent: "Bob"}, []string{"b"}},
			"a name is no agent":  {archive.Filter{Agent: "Vika"}, []string{}},
			"sub":                 {archive.Filter{Sub: "sub-a"}, []string{"a"}},
			"hostile":             {archive.Filter{Team: "' OR 1=1 --\x00", Agent: "\x00"}, []string{}},
		} {
			if got := found(t, a, "", test.f); !slices.Equal(got, test.want) {
				t.Errorf("%s: %v, want %v", name, got, test.want)
			}
			if got := found(t, a, "order", test.f); len(got) > 1 {
				t.Errorf("%s with a word: %v", name, got)
			}
		}
	})
}

// Pages stay the same while chats are added.
func TestPages(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		a := open(t, archive.Config{URL: db.url(t)})
		for i := range 25 {
			take(t, a, begin(fmt.Sprint("c", i), 0).waits(1).user(2, "word").ends(float64(100+i)))
		}
		for _, text := range []string{"", "wor"} {
			var got []string
			cursor := ""
			for pages := 0; ; pages++ {
				chats, next, err := a.Search(t.Context(), text, archive.Filter{}, cursor, 10)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range chats {
					got = append(got, c.Ended)
				}
				take(t, a, begin(fmt.Sprint("late", len(text), pages), 0).waits(1).user(2, "word").ends(float64(1000+len(text)*10+pages)))
				if cursor = next; cursor == "" {
					break
				}
			}
			if !slices.IsSortedFunc(got, func(x, y string) int { return strings.Compare(y, x) }) || len(slices.Compact(slices.Clone(got))) < 25 {
				t.Fatalf("%q: %v", text, got)
			}
		}
		for _, bad := range []string{"x!", "-5", "0", "zzzzzzzzzzzzzzzzzzzzz", "ÄÖ", "' OR 1=1"} {
			if _, _, err := a.Search(t.Context(), "", archive.Filter{}, bad, 10); !errors.Is(err, archive.ErrCursor) {
				t.Errorf("cursor %q: %v", bad, err)
			}
		}
	})
}

func TestSchemas(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		url := db.url(t)
		take(t, open(t, archive.Config{URL: url}), begin("a", 0).waits(1).user(2, "x").ends(100))
		if got := found(t, open(t, archive.Config{URL: url}), "x", archive.Filter{}); len(got) != 1 {
			t.Fatalf("after opening it again: %v", got)
		}
		archive.SetSchemaVersion(t, url, 99)
		newer := (*archive.NewerError)(nil)
		a := launch(t, archive.Config{URL: url})
		if err := a.Open(t.Context()); !errors.As(err, &newer) || newer.Schema != 99 {
			t.Fatalf("a newer schema: %v", err)
		}
		if err := a.Take(t.Context(), []follow.Log{begin("b", 0).waits(1).user(2, "x").ends(100)}); !errors.Is(err, follow.ErrAway) {
			t.Fatalf("a newer schema is written to: %v", err)
		}
	})
}

// The archive goes away and comes back.
func TestAway(t *testing.T) {
	chat := func(name string) follow.Log { return begin(name, 0).waits(1).user(2, "x").ends(100) }
	t.Run("SQLite", func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "folder")
		a := launch(t, archive.Config{URL: "sqlite:" + folder + "/archive.db"})
		if err := a.Take(t.Context(), []follow.Log{chat("a")}); !errors.Is(err, follow.ErrAway) {
			t.Fatalf("without a folder: %v", err)
		}
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		takeWhenBack(t, a, chat("a"))
		if err := os.Rename(folder, folder+"-away"); err != nil {
			t.Fatal(err)
		}
		if err := a.Take(t.Context(), []follow.Log{chat("b")}); !errors.Is(err, follow.ErrAway) {
			t.Fatalf("when the folder has gone: %v", err)
		}
		if err := os.Rename(folder+"-away", folder); err != nil {
			t.Fatal(err)
		}
		takeWhenBack(t, a, chat("b"))
		if got := found(t, a, "", archive.Filter{}); len(got) != 2 {
			t.Fatal(got)
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		server := archivetest.StartPostgres(t)
		a := open(t, archive.Config{URL: server.NewDatabase()})
		take(t, a, chat("a"))
		server.Stop()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		if err := a.Take(ctx, []follow.Log{chat("b")}); !errors.Is(err, follow.ErrAway) {
			t.Fatalf("while it is down: %v", err)
		}
		server.Start()
		takeWhenBack(t, a, chat("b"))
		if got := found(t, a, "", archive.Filter{}); len(got) != 2 {
			t.Fatal(got)
		}
	})
}

// A chat that the database refuses is refused without a word of it, and the archive goes on.
func TestRefusals(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		url := db.url(t)
		a := open(t, archive.Config{URL: url})
		statements := []string{`CREATE TRIGGER refuse BEFORE INSERT ON chats WHEN NEW.username = 'Canary' BEGIN SELECT RAISE(ABORT, 'no Canary'); END`}
		if db.name == "PostgreSQL" {
			statements = []string{`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF NEW.username = 'Canary' THEN RAISE EXCEPTION 'no %', NEW.username USING ERRCODE = '23514', DETAIL = NEW.username; END IF;
				RETURN NEW; END $$`, `CREATE TRIGGER refuse BEFORE INSERT ON chats FOR EACH ROW EXECUTE FUNCTION refuse()`}
		}
		for _, statement := range statements {
			archive.Execute(t, url, statement)
		}
		refused, other := begin("a", 0).as("", "Canary", "").waits(1).user(2, "hello").ends(300), begin("b", 0).waits(1).user(2, "hello").ends(300)
		for _, logs := range [][]follow.Log{{refused}, {refused, other}} {
			if err := a.Take(t.Context(), logs); err == nil || errors.Is(err, follow.ErrAway) || strings.Contains(err.Error(), "anary") {
				t.Errorf("%v", err)
			}
		}
		take(t, a, other)
		if got := found(t, a, "hello", archive.Filter{}); !slices.Equal(got, []string{"b"}) {
			t.Error(got)
		}
	})
}

func TestURLs(t *testing.T) {
	for url, good := range map[string]bool{
		"sqlite:/a/b.db": true, "sqlite:b.db": true, "sqlite:///a/b": true, "postgres://h/db": true, "postgresql://u:p@h:5432/db?sslmode=disable": true,
		"": false, "sqlite:": false, "sqlite:/a/": false, "mysql://h/db": false, "postgres://": false, "postgres://h:x/db": false, "/a/b.db": false,
	} {
		if err := archive.CheckURL(url); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
	}
}
