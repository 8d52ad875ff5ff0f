package faults_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livesupport/broker/redisdb"
	"livesupport/chat/archive"
	"livesupport/chat/archive/archivetest"
	"livesupport/chat/log"
)

// piled is the number of messages of each chat in a backlog.
const piled = 10

// Thousands of chats, whose servers have died, end while the archive is away. The living
// chats go on at full speed, also while the archive catches up. Each chat is archived once.
func TestArchiveBacklog(t *testing.T) {
	eachArchive(t, func(w *world, s scale, database *archivetest.Postgres) {
		folder := filepath.Join(w.TempDir(), "folder")
		url := "sqlite:" + filepath.Join(folder, "archive.db")
		back := func() error { return os.Mkdir(folder, 0o700) }
		if database != nil {
			url = database.NewDatabase()
			database.Stop()
			back = func() error { database.Start(); return nil }
		}
		k := w.keep(url, awayTTL)
		k.serve()
		k.traffic = k.talk(s)
		wait(w.Context(), 5*time.Second) // to compare with
		empty := k.memory()
		begun := time.Now()
		ids := k.pile(s.backlog)
		made := time.Now()
		eventually(w.T, awayTTL+time.Minute+time.Duration(s.backlog)*time.Millisecond, "all have ended, and wait", func() bool { return k.listed() >= s.backlog })
		ended := time.Now()
		k.undisturbed("while they ended", made, ended)
		w.Logf("%s: %d chats of %d messages made in %v, ended %v later; Redis has %d bytes for each", w.Name(), len(ids), piled,
			made.Sub(begun).Round(time.Millisecond), ended.Sub(made).Round(time.Millisecond), (k.memory()-empty)/s.backlog)

		if err := back(); err != nil {
			w.Fatal(err)
		}
		taken := time.Now()
		eventually(w.T, time.Minute+time.Duration(s.backlog)*10*time.Millisecond, "the archive has all", func() bool { return k.listed() == 0 })
		done := time.Now()
		k.undisturbed("while they were taken", taken, done)
		w.Logf("%s: %d chats taken in %v, %.0f a second", w.Name(), s.backlog, done.Sub(taken).Round(time.Millisecond), float64(s.backlog)/done.Sub(taken).Seconds())
		k.traffic.settle(15 * time.Second)
		k.holds(ids)
		k.alive(append(k.chats, k.lobbies...)...)
	})
}

// pile makes chats that nobody serves.
func (k *keeping) pile(n int) map[string]bool {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), 5*time.Minute)
	defer cancel()
	db, err := redisdb.Open(k.redis.URL(), nil)
	if err == nil {
		err = db.AwaitTime(ctx)
	}
	if err != nil {
		k.Fatal(err)
	}
	defer db.Close()
	logs := log.NewStore(db, k.ttl, 24*time.Hour)
	ids := make(map[string]bool, n)
	var work errgroup
	next := make(chan string)
	for range 32 {
		work.Go(func() error {
			var failed error
			for id := range next {
				if failed == nil {
					failed = logs.Create(ctx, log.Event{Kind: log.Registered, ID: id, At: db.Now().UnixMicro(), UserID: id, Username: "Nika", ChatID: id}, lines(id, db.Now())...)
				}
			}
			return failed
		})
	}
	for range n {
		random := make([]byte, 16)
		_, _ = rand.Read(random) // it never fails
		id := hex.EncodeToString(random)
		ids[id] = true
		next <- id
	}
	close(next)
	if err := work.Wait(); err != nil {
		k.Fatal(err)
	}
	return ids
}

// lines returns the entries of a chat after its registration.
func lines(id string, now time.Time) (events []log.Event) {
	for i := range piled {
		events = append(events, log.Event{
			Kind: log.Messaged, ID: fmt.Sprintf("%s-%d", id, i), At: now.UnixMicro(), From: log.RoleUser,
			Content: fmt.Sprintf("Line %d of what a visitor tells of an order that has not come. ", i),
		})
	}
	return events
}

// holds checks that the archive has each of the chats, complete.
func (k *keeping) holds(ids map[string]bool) {
	k.Helper()
	found, cursor := map[string]bool{}, ""
	for {
		page, next, err := k.archive.Search(k.ctx(), "", archive.Filter{}, cursor, 2000)
		if err != nil {
			k.Fatal(err)
		}
		for _, c := range page {
			if found[c.ChatID] {
				k.Errorf("%s is there twice", c.ChatID)
			}
			if found[c.ChatID] = true; ids[c.ChatID] && c.Messages != piled {
				k.Errorf("%s has %d messages", c.ChatID, c.Messages)
			}
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	missing := 0
	for id := range ids {
		if !found[id] {
			missing++
		}
	}
	k.Logf("%s: of %d chats %d are missing", k.Name(), len(ids), missing)
	if missing > 0 {
		k.Errorf("%d chats are missing", missing)
	}
}

// memory returns how much Redis has allocated.
func (k *keeping) memory() (n int) {
	k.Helper()
	info, err := k.store.Info(k.ctx(), "memory").Result()
	if err != nil {
		k.Fatal(err)
	}
	_, after, _ := strings.Cut(info, "used_memory:")
	if _, err := fmt.Sscan(after, &n); err != nil {
		k.Fatal(err)
	}
	return n
}
