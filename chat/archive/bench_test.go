package archive_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/archive/archivetest"
	"livesupport/chat/follow"
)

// BenchmarkTake measures how fast chats of twenty messages are archived, a hundred at a time.
func BenchmarkTake(b *testing.B) {
	for name, url := range map[string]func() string{
		"SQLite":     func() string { return "sqlite:" + filepath.Join(b.TempDir(), "archive.db") },
		"PostgreSQL": func() string { return archivetest.StartPostgres(b, "fsync=on").NewDatabase() },
	} {
		b.Run(name, func(b *testing.B) {
			a := openBench(b, url())
			n := 0
			var logs []follow.Log
			for b.Loop() {
				c := begin(fmt.Sprint("c", n), float64(n)).waits(float64(n+1)).joins(float64(n+2), "Vika", "vika@x")
				for i := range 20 {
					c.user(float64(n+3+i), fmt.Sprintf("line %d of a conversation about order %d and how it goes on", i, n))
				}
				logs = append(logs, c.ends(float64(n+200)))
				if n++; len(logs) == 100 {
					if err := a.Take(b.Context(), logs); err != nil {
						b.Fatal(err)
					}
					logs = logs[:0]
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "chats/s")
		})
	}
}

func openBench(b *testing.B, url string) *archive.Archive {
	b.Helper()
	a, err := archive.New(archive.Config{URL: url, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = a.Close() })
	if err := a.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	return a
}
