package archive_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/follow"
	"livesupport/chat/log"

	"github.com/prometheus/client_golang/prometheus"
)

// What has been deleted does not come back, whoever sends it again.
func TestDeletion(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		url := db.url(t)
		now := noon.Add(time.Hour)
		a := open(t, archive.Config{URL: url, Now: func() time.Time { return now }})
		chat := func(name, sub string, start float64) follow.Log {
			return begin(name, start).as(sub, "Ana", "").waits(start+1).user(start+2, "refund").ends(start + 100)
		}
		take(t, a, chat("a", "ana", 0), chat("b", "ana", 0), chat("c", "bob", 0), chat("d", "", 0))
		for _, m := range []archive.Message{
			{MessageID: chatID("1"), Name: "Ana", Content: "hers", Sub: "ana"}, {MessageID: chatID("2"), Name: "Ana", Content: "nobody's"},
		} {
			if err := a.Leave(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // a second time nothing happens
			if err := a.Forget(t.Context(), chatID("c"), chatID("e")); err != nil {
				t.Fatal(err)
			}
			if err := a.ForgetUser(t.Context(), "ana"); err != nil {
				t.Fatal(err)
			}
		}
		take(t, a, chat("a", "ana", 0), chat("c", "bob", 0), chat("e", "", 0), chat("f", "ana", 3000), chat("g", "ana", 4000))
		for _, text := range []string{"", "refund"} {
			if got := found(t, a, text, archive.Filter{}); !slices.Equal(got, []string{"g", "d"}) { // g began behind the deletion
				t.Errorf("%q finds %v", text, got)
			}
		}
		for _, name := range []string{"a", "c", "e"} {
			if _, err := a.Get(t.Context(), chatID(name)); !errors.Is(err, archive.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		left, _, err := a.Messages(t.Context(), archive.MessageFilter{}, "", 10)
		if err != nil || len(left) != 1 || left[0].Content != "nobody's" {
			t.Errorf("%v %v", left, err)
		}
		if n := archive.Count(t, url, "agents", "logs", "chats"); n != 4 { // g and d, in logs and chats
			t.Errorf("%d rows are left", n)
		}
	})
}

// Deletions and archiving run at the same time. Whatever the order, a deleted chat is not there in
// the end.
func TestDeletionBesideArchiving(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		url := db.url(t)
		one, two := open(t, archive.Config{URL: url}), open(t, archive.Config{URL: url})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for round := range 20 {
			log := begin(fmt.Sprint("c", round), 0).as("ana", "Ana", "").waits(1).user(2, "x").ends(100)
			done := make(chan error, 2)
			go func() { done <- one.Take(ctx, []follow.Log{log}) }()
			go func() {
				if round%2 == 0 {
					done <- two.Forget(ctx, log.ChatID)
				} else {
					done <- two.ForgetUser(ctx, "ana")
				}
			}()
			for range 2 {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			if got := found(t, one, "", archive.Filter{}); len(got) != 0 {
				t.Fatalf("round %d: %v", round, got)
			}
		}
	})
}

func TestRetention(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		url := db.url(t)
		now := noon
		clock := func() time.Time { return now }
		a := open(t, archive.Config{URL: url, Retention: time.Hour, Now: clock})
		var old []follow.Log
		for i := range 1100 {
			old = append(old, begin(fmt.Sprint("old", i), 0).waits(1).user(2, "x").ends(float64(100)+float64(i)/1000))
		}
		take(t, a, old...)
		take(t, a, begin("young", 0).waits(1).user(2, "x").ends(3600))
		if err := a.Leave(t.Context(), archive.Message{MessageID: chatID("1"), Content: "x"}); err != nil {
			t.Fatal(err)
		}
		now = noon.Add(time.Hour + 10*time.Minute)
		if err := a.Leave(t.Context(), archive.Message{MessageID: chatID("2"), Content: "y"}); err != nil {
			t.Fatal(err)
		}
		forever := open(t, archive.Config{URL: url, Now: clock})
		if err := forever.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := found(t, a, "", archive.Filter{}); len(got) != 100 {
			t.Fatalf("without a retention %d are left", len(got))
		}
		if err := a.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"", "x"} {
			if got := found(t, a, text, archive.Filter{}); !slices.Equal(got, []string{"young"}) {
				t.Fatal(got)
			}
		}
		left, _, err := a.Messages(t.Context(), archive.MessageFilter{}, "", 10)
		if err != nil || len(left) != 1 || left[0].Content != "y" {
			t.Fatal(left, err)
		}
	})
}

// blobs records which chats' files are kept, and which have been deleted.
type blobs struct {
	mu      sync.Mutex
	kept    map[string][]string
	deleted []string
	err     error
}

func (b *blobs) Keep(_ context.Context, chatID string, carried []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept[chatID] = carried
	return b.err
}

func (b *blobs) Delete(_ context.Context, chatID string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.kept, chatID)
	b.deleted = append(b.deleted, chatID)
	return b.err
}

// Files live as long as their chat is kept, and are deleted before it.
func TestFiles(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		files, now := &blobs{kept: map[string][]string{}}, noon.Add(time.Hour)
		a := open(t, archive.Config{URL: db.url(t), Files: files, Retention: 2 * time.Hour, Now: func() time.Time { return now }})
		chat := func(name, sub string, end float64) follow.Log {
			c := begin(name, 0).as(sub, "Ana", "").waits(1)
			for _, id := range []string{"cat", "dog"} {
				c.add(log.Event{Kind: log.Uploaded, At: at(2), From: log.RoleUser, Files: &log.Files{{ID: id, Name: id + " picture.png", Type: "image/png", Size: 7, URL: "/files/" + id, Address: "https://chat.example/files/" + id}}, Seq: 50})
			}
			return c.add(log.Event{Kind: log.Messaged, At: at(3), From: log.RoleUser, Files: &log.Files{{ID: "cat"}}}).ends(end)
		}
		files.err = errors.New("the store of files is away")
		if err := a.Take(t.Context(), []follow.Log{chat("a", "ana", 100)}); !errors.Is(err, files.err) {
			t.Fatal(err)
		}
		files.err = nil
		take(t, a, chat("a", "ana", 100), chat("b", "bob", 100), chat("c", "", 3600), begin("d", 0).waits(1).user(2, "x").ends(100))
		if len(files.kept) != 3 || !slices.Equal(files.kept[chatID("a")], []string{"cat"}) {
			t.Fatal(files.kept)
		}
		if got := found(t, a, "cat", archive.Filter{}); len(got) != 3 {
			t.Error(got)
		}
		if got := found(t, a, "dog", archive.Filter{}); len(got) != 0 { // no message has it
			t.Error(got)
		}
		whole, err := a.Get(t.Context(), chatID("a"))
		want := `"seq":1,"files":[{"fileId":"cat","name":"cat picture.png","type":"image/png","size":7,"url":"/files/cat"}]}}`
		if err != nil || !strings.Contains(string(whole.Log), want) {
			t.Errorf("%v %s", err, whole.Log)
		}
		if text, err := a.Transcript(t.Context(), chatID("a")); err != nil || !strings.Contains(text, "Ana: cat picture.png https://chat.example/files/cat\n") {
			t.Errorf("%v %s", err, text)
		}

		files.err = errors.New("the store of files is away")
		if err := a.ForgetUser(t.Context(), "ana"); !errors.Is(err, files.err) {
			t.Fatal(err)
		}
		if _, err := a.Get(t.Context(), chatID("a")); err != nil {
			t.Fatalf("the chat has gone before its files: %v", err)
		}
		files.err = nil
		if err := a.ForgetUser(t.Context(), "ana"); err != nil {
			t.Fatal(err)
		}
		if err := a.Forget(t.Context(), chatID("b")); err != nil {
			t.Fatal(err)
		}
		take(t, a, chat("a", "ana", 100), chat("b", "bob", 100)) // they do not come back, nor do their files
		if len(files.kept) != 1 || files.kept[chatID("c")] == nil {
			t.Fatal(files.kept)
		}
		now = noon.Add(4 * time.Hour)
		if err := a.Clean(t.Context()); err != nil || len(files.kept) != 0 {
			t.Fatal(err, files.kept)
		}
	})
}

// Messages that nobody has dealt with are counted.
func TestOpenMessages(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		now := noon
		a := open(t, archive.Config{URL: db.url(t), Now: func() time.Time { return now }})
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(a.Metrics()...)
		for _, step := range []struct {
			do           func() error
			open, oldest float64
		}{
			{func() error { return nil }, 0, 0},
			{func() error { return a.Leave(t.Context(), archive.Message{MessageID: chatID("1"), Content: "x"}) }, 1, 60},
			{func() error { return a.Leave(t.Context(), archive.Message{MessageID: chatID("2"), Content: "y"}) }, 2, 120},
			{func() error { return a.Done(t.Context(), chatID("1")) }, 1, 120},
			{func() error { return a.Done(t.Context(), chatID("2")) }, 0, 0},
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Minute)
			if err := a.Measure(t.Context()); err != nil {
				t.Fatal(err)
			}
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			oldest, open := families[0].GetMetric()[0].GetGauge().GetValue(), families[1].GetMetric()[0].GetGauge().GetValue()
			if open != step.open || oldest != step.oldest {
				t.Errorf("%v are open, the oldest for %v s; want %v and %v", open, oldest, step.open, step.oldest)
			}
		}
	})
}
