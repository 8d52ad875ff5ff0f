package archive_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/archive/archivetest"
	"livesupport/chat/follow"
)

var (
	benchChats = flag.Int("chats", 20_000, "how many chats BenchmarkSearch searches in")
	benchFill  = flag.Duration("fill", 40*time.Minute, "for how long at most it fills a database")
	benchURL   = flag.String("archive", "", "an archive to fill further and to search in, instead of new ones")
)

// vocabulary are made-up words, the common ones first.
var vocabulary = func() []string {
	r := rand.New(rand.NewPCG(1, 2))
	syllables := strings.Fields("ka lo mi ren tas ver du pol san ti or be gra nu fel wi")
	known, all := map[string]bool{}, []string{}
	for len(all) < 30_000 {
		word := ""
		for range 2 + r.IntN(3) {
			word += syllables[r.IntN(len(syllables))]
		}
		if !known[word] {
			known[word] = true
			all = append(all, word)
		}
	}
	return all
}()

// spoken returns the nth of many chats that end one after the other, over a year. Each has eight
// messages of twelve words, which are as frequent as in a real language.
func spoken(n int) follow.Log {
	r := rand.New(rand.NewPCG(3, uint64(n)))
	zipf := rand.NewZipf(r, 1.1, 4, uint64(len(vocabulary)-1))
	from := float64(n) * 31.5
	c := begin(fmt.Sprint("c", n), from).as(fmt.Sprint("sub", n/4), fmt.Sprint("Visitor", n), []string{"", "sales", "billing"}[n%3])
	agent := r.IntN(50)
	if n%5000 == 0 {
		agent = 99 // who has had few
	}
	c.waits(from+1).joins(from+2, fmt.Sprint("Agent", agent), fmt.Sprintf("agent%d@example.com", agent))
	for m := range 8 {
		words := make([]string, 12)
		for i := range words {
			words[i] = vocabulary[zipf.Uint64()]
		}
		if m == 0 {
			words[0] = fmt.Sprint("order", n)
		}
		c.user(from+3+float64(m), strings.Join(words, " "))
	}
	return c.ends(from + 200)
}

// BenchmarkSearch measures how long a page of a search, and a report, take in many chats. The
// promise is for -chats=1000000, which takes a while to create.
func BenchmarkSearch(b *testing.B) {
	databases := map[string]func() string{
		"SQLite":     func() string { return "sqlite:" + filepath.Join(b.TempDir(), "archive.db") },
		"PostgreSQL": func() string { return archivetest.StartPostgres(b).NewDatabase() },
	}
	if *benchURL != "" {
		databases = map[string]func() string{"Archive": func() string { return *benchURL }}
	}
	for name, start := range databases {
		b.Run(name, func(b *testing.B) {
			url := start()
			a := openBench(b, url)
			n := fillBench(b, a, archive.Count(b, url, "chats"))
			if strings.HasPrefix(url, "postgres") {
				archive.Execute(b, url, `ANALYZE`) // as it does by itself, a little later
			}
			// By how many chats they are in.
			everywhere, common, some, few := vocabulary[0], vocabulary[20], vocabulary[300], vocabulary[8000]
			_, middle, err := a.Search(b.Context(), "", archive.Filter{To: at(float64(n) * 31.5 / 2)}, "", 1)
			if err != nil {
				b.Fatal(err)
			}
			for _, search := range []struct {
				name, text string
				filter     archive.Filter
				cursor     string
			}{
				{name: "newest"},
				{name: "everywhere", text: everywhere},
				{name: "common", text: common},
				{name: "some", text: some},
				{name: "few", text: few},
				{name: "one", text: fmt.Sprint("order", n/2)},
				{name: "none", text: "zzzzz"},
				{name: "two common", text: common + " " + vocabulary[25]},
				{name: "two that are some", text: some + " " + vocabulary[301]},
				{name: "common and few", text: everywhere + " " + few},
				{name: "common and one", text: fmt.Sprint(common, " order", n/3)},
				{name: "prefix of 1", text: "k"},
				{name: "prefix of 2", text: "ka"},
				{name: "prefix of 4", text: "kalo"},
				{name: "prefix of orders", text: "order12"},
				{name: "everywhere, agent", text: everywhere, filter: archive.Filter{Agent: "agent7@example.com"}},
				{name: "everywhere, rare agent", text: everywhere, filter: archive.Filter{Agent: "agent99@example.com"}},
				{name: "rare agent", filter: archive.Filter{Agent: "agent99@example.com"}},
				{name: "common, rare agent", text: common, filter: archive.Filter{Agent: "agent99@example.com"}},
				{name: "few, team", text: few, filter: archive.Filter{Team: "sales"}},
				{name: "common, long ago", text: common, filter: archive.Filter{From: at(0), To: at(86400)}},
				{name: "common, from the middle", text: common, cursor: middle},
			} {
				benchPage(b, search.name, n, func() (int, error) {
					page, _, err := a.Search(b.Context(), search.text, search.filter, search.cursor, 50)
					return len(page), err
				})
			}
			for _, days := range []float64{7, 30, 90, 365} {
				f := archive.Filter{From: at(float64(n)*31.5 - days*24*3600)}
				benchPage(b, fmt.Sprintf("report of %v days", days), n, func() (int, error) {
					r, err := a.Report(b.Context(), f)
					return r.Chats, err
				})
			}
		})
	}
}

// benchPage measures how long an answer takes of an archive of n chats. f returns how many chats
// it has found.
func benchPage(b *testing.B, name string, n int, f func() (int, error)) {
	b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
		var took []time.Duration
		found := 0
		for b.Loop() {
			begun := time.Now()
			some, err := f()
			if err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(begun))
			found = some
		}
		slices.Sort(took)
		b.ReportMetric(float64(n), "chats")
		b.ReportMetric(float64(found), "found")
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	})
}

// fillBench puts chats into an archive that has n of them, and returns how many it has then.
func fillBench(b *testing.B, a *archive.Archive, n int) int {
	b.Helper()
	pieces := make(chan []follow.Log, 1)
	until := time.Now().Add(*benchFill)
	go func() {
		defer close(pieces)
		for n := n; n < *benchChats && time.Now().Before(until); {
			var logs []follow.Log
			for range min(500, *benchChats-n) {
				logs = append(logs, spoken(n))
				n++
			}
			pieces <- logs
		}
	}()
	failed := error(nil)
	for logs := range pieces {
		if failed == nil {
			failed = a.Take(b.Context(), logs)
			n += len(logs)
		}
	}
	if failed != nil {
		b.Fatal(failed)
	}
	return n
}
