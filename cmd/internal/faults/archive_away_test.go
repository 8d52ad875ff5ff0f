package faults_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"livesupport/chat/archive/archivetest"
)

// awayTTL is the lifetime of chats that must end while the archive is away.
const awayTTL = 5 * time.Second

// The archive's database does not answer for a while, and is then gone: another process
// locks the file, and then moves it away; packets to PostgreSQL vanish, and then it is
// dead. Chats go on at full speed. When the database is back, the ended chats are archived.
func TestArchiveAway(t *testing.T) {
	eachArchive(t, func(w *world, s scale, database *archivetest.Postgres) {
		if database == nil {
			folder := filepath.Join(w.TempDir(), "folder")
			if err := os.Mkdir(folder, 0o700); err != nil {
				w.Fatal(err)
			}
			file := filepath.Join(folder, "archive.db")
			k := w.keep("sqlite:"+file, awayTTL)
			unlock := func() {}
			k.without("while its file was locked", s, func() { unlock = k.lock(file) }, func() { unlock() })
			k.without("while its file was away", s, func() { k.rename(folder, folder+"-away") }, func() { k.rename(folder+"-away", folder) })
			k.complete()
			return
		}
		url := database.NewDatabase()
		p := startProxy(w.T, database.Addr())
		k := w.keep(url, awayTTL)
		k.env = append(k.env, p.through("ARCHIVE_URL", url))
		k.without("while it was silent", s, p.stall, p.heal)
		k.without("while it was dead", s, database.Kill, database.Start)
		k.complete()
	})
}

// without takes the archive away while chats end.
func (k *keeping) without(what string, s scale, harm, heal func()) {
	k.Helper()
	if k.traffic == nil {
		k.serve()
		k.begin(s)
		k.say(5)
		wait(k.Context(), 5*time.Second) // to compare with
	}
	from := time.Now()
	harm()
	k.piles()
	for time.Since(from) < s.away {
		k.say(2)
		wait(k.Context(), time.Second)
	}
	waiting := k.waiting()
	heal()
	to := time.Now()
	k.fault(from, to)
	k.undisturbed(what, from, to)
	eventually(k.T, archivedWithin, "what has waited is archived", func() bool { return k.archived(to) })
	k.Logf("%s: %v chats waited, and were archived %v after it was back", k.Name(), waiting, time.Since(to).Round(10*time.Millisecond))
	k.traffic.flows("when the archive is back", 15*time.Second)
}

// archived reports whether all chats that had ended at a time are archived.
func (k *keeping) archived(at time.Time) bool {
	k.sightMu.Lock()
	defer k.sightMu.Unlock()
	for _, b := range k.briefs {
		if b.over.Before(at) && k.sights[b.ChatID].IsZero() {
			return false
		}
	}
	return true
}

// lock locks a database for writing, as an administrator who repairs it may do, until the
// returned function is called.
func (k *keeping) lock(file string) (unlock func()) {
	k.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		k.Fatal(err)
	}
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		k.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			k.Error(err)
		}
		if err := db.Close(); err != nil {
			k.Error(err)
		}
	}
}

func (k *keeping) rename(from, to string) {
	k.Helper()
	if err := os.Rename(from, to); err != nil {
		k.Fatal(err)
	}
}
