package backend_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/archive/archivetest"
	"livesupport/chat/log"
	"livesupport/cmd/internal/backend"
)

// keptTTL is how long chats live in the scenarios of the archive.
const keptTTL = slowness * 6 * time.Second

// kept is a group of scenarios in deployments that share an archive in a file.
func kept(tune tuning, group func(tuning, scenarios) group, all scenarios) group {
	return func(t *testing.T, p place) func() {
		return group(func(c *backend.Config) {
			unlimited(c)
			c.ChatTTL = keptTTL
			c.MetricsAddr = "127.0.0.1:0"
			archiveIn(t, c)
			files, err := os.MkdirTemp(t.TempDir(), "files")
			if err != nil {
				t.Fatal(err)
			}
			c.FilesURL = "file://" + filepath.ToSlash(files)
			if tune != nil {
				tune(c)
			}
		}, all)(t, p)
	}
}

// archiveIn gives a deployment an archive of its own.
func archiveIn(t *testing.T, c *backend.Config) {
	folder, err := os.MkdirTemp(t.TempDir(), "archive")
	if err != nil {
		t.Fatal(err)
	}
	c.ArchiveURL = "sqlite:" + filepath.Join(folder, "archive.db")
}

// onPostgres is the place of a deployment's kind that most are of, with a database.
func onPostgres(t *testing.T, groups ...func(url func() string) group) {
	t.Helper()
	server := archivetest.StartPostgres(t)
	for _, p := range places {
		if p.name != "Sentinel/two of each" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			var running sync.WaitGroup
			defer running.Wait()
			for _, g := range groups {
				running.Go(g(server.NewDatabase)(t, p))
			}
		})
	}
}

// archive opens the deployment's, as another process does.
func (w *world) archive() *archive.Archive {
	w.Helper()
	a, err := archive.New(archive.Config{URL: w.archiveURL, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = a.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := a.Open(ctx); err != nil {
		w.Fatal(err)
	}
	return a
}

// archived waits until a chat is in the archive, within the ten seconds of the
// protocol, and nothing of it in the store, and returns its log.
func (w *world) archived(a *archive.Archive, v *visitor) (entries []string) {
	w.Helper()
	w.within(keptTTL+10*time.Second*slowness, "the chat is in the archive", func() bool {
		var err error
		if entries, err = a.Entries(context.Background(), v.chatID); err != nil && !errors.Is(err, archive.ErrNotFound) {
			w.Fatal(err)
		}
		return err == nil
	})
	w.chatExpires(v)
	return entries
}

// contents are the messages of a log.
func contents(entries []string) (all []string) {
	var s log.State
	for _, entry := range entries {
		s.Apply(log.Decode([]byte(entry)))
	}
	for _, m := range s.Messages {
		all = append(all, m.Content)
	}
	return all
}

func TestScenarioArchive(t *testing.T) {
	t.Parallel()
	inEveryPlace(t, kept(nil, shared, scenarios{
		"a chat that expires is kept": func(w *world) {
			v, user, support := w.couple()
			user.said("one", support)
			support.said("two", user)
			user.expires(v)
			support.expires(v)
			w.chatIsGone(v)
			a := w.archive()
			if got := contents(w.archived(a, v)); len(got) != 2 || got[0] != "one" || got[1] != "two" {
				w.Fatalf("%q", got)
			}
			w.storeForgets(v)
		},
		"a chat that was closed is kept, with what came until its end": func(w *world) {
			v, user, support := w.liveCouple("close", "rating", "notes")
			user.said("one", support)
			support.send("Note", obj{"content": "canary"})
			support.expect("Note", note(v, "canary"))
			support.send("CloseChat", nil)
			user.expectClosed("Support")
			support.expectClosed("Support")
			user.send("Rate", obj{"score": 4})
			user.expect("Rated", obj{"score": 4.0, "timestamp": aTimestamp})
			support.expect("Rated", obj{"score": 4.0, "timestamp": aTimestamp})
			user.expires(v)
			support.expires(v)
			a := w.archive()
			entries := w.archived(a, v)
			s := archive.Summarize(entries)
			if s.EndedBy != "Support" || s.Score != 4 || s.Messages != 1 {
				w.Fatalf("%+v", s)
			}
			w.chatIsGone(v)
		},
		"a chat in which nothing was said is not kept": func(w *world) {
			v := w.register("Nika")
			w.chatExpires(v)
			silent := w.register("Ana")
			w.user(silent).close()
			w.chatExpires(silent)
			w.storeForgets(silent)
			for _, v := range []*visitor{v, silent} {
				if _, err := w.archive().Entries(context.Background(), v.chatID); !errors.Is(err, archive.ErrNotFound) {
					w.Errorf("%s: %v", v.username, err)
				}
			}
		},
		"a waiting user's chat does not end": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			user.said("hello?")
			user.expectNothingFor(2 * keptTTL)
			user.said("still here")
			user.close()
			if got := contents(w.archived(w.archive(), v)); len(got) != 2 {
				w.Fatalf("%q", got)
			}
		},
	}), kept(nil, alone, scenarios{
		"chats whose servers have died are found": func(w *world) {
			v, user, support := w.couple()
			user.said("one", support)
			user.ignoreRest()
			support.ignoreRest()
			for _, b := range w.backends[:len(w.backends)-1] { // a lobby is left, where there is more than one process
				stop(w.T, b)
			}
			w.archived(w.archive(), v)
		},
		"while the archive is away chats go on, and wait for it": func(w *world) {
			back := w.takeArchiveAway()
			v, user, support := w.couple()
			user.said("one", support)
			user.expires(v)
			support.expires(v)
			w.chatIsGone(v)
			pass(2 * time.Second)
			w.eventually("it waits", func() bool { return w.figure("livesupport_archive_waiting") >= 1 })
			if w.mentioned(v) == "" {
				w.Fatal("it has gone")
			}
			for _, addr := range append(w.chats, w.lobbies...) {
				if r := w.get(addr, "/readyz"); r.status != 200 {
					w.Errorf("not ready: %d", r.status)
				}
			}
			back()
			w.archived(w.archive(), v)
			w.storeForgets(v)
			w.eventually("nothing waits", func() bool { return w.figure("livesupport_archive_waiting") == 0 })
		},
	}))
}

// takeArchiveAway takes the folder of the archive away until back is called.
func (w *world) takeArchiveAway() (back func()) {
	w.Helper()
	folder := filepath.Dir(w.archiveURL[len("sqlite:"):])
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			w.Fatal(err)
		}
	}
	move(folder, folder+"-away")
	return func() { move(folder+"-away", folder) }
}

// expires wants the end of the chat when its time is over.
func (c *client) expires(v *visitor) {
	c.t.Helper()
	frame, err := c.next(keptTTL + 2*patience)
	if err != nil {
		c.t.Fatalf("%s: instead of ChatExpired: %v", c.name, err)
	}
	c.unread(frame)
	c.expectExpired(v)
}
