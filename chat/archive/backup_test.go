package archive_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/archive/archivetest"
	"livesupport/chat/follow"
)

// furnish fills an archive with everything that it can have.
func furnish(t *testing.T, a *archive.Archive, from, to int) {
	t.Helper()
	var logs []follow.Log
	for i := from; i < to; i++ {
		c := begin(fmt.Sprint("c", i), float64(i)).as(fmt.Sprint("sub", i%7), fmt.Sprint("Nika ", i), []string{"", "sales"}[i%2])
		c.waits(float64(i+1)).joins(float64(i+2), "Vika", "vika@example.com").user(float64(i+3), fmt.Sprintf("order%d 返金 'quoted' \\ \t <&> 🙂", i))
		c.support(float64(i+4), "Vika", "привет").note(float64(i+5), "Vika", "difficult").rates(float64(i+6), uint8(i%5+1), "thanks")
		logs = append(logs, c.ends(float64(i+100)))
	}
	take(t, a, logs...)
}

// backupTables are all that is to come back.
var backupTables = []string{"livesupport_schema", "chats", "logs", "agents", "forgotten_chats", "forgotten_users", "messages"}

// A backup of PostgreSQL is taken and restored with the lines of cmd/deploy/README.md: dump, drop,
// restore, compare. What ends while the database is not there is archived when it is back.
func TestBackupPostgres(t *testing.T) {
	server := archivetest.StartPostgres(t)
	folder := t.TempDir()
	run := func(lines ...string) {
		t.Helper()
		cmd := server.Shell(strings.Join(lines, "\n"))
		cmd.Dir, cmd.Env = folder, append(cmd.Env, "ARCHIVE_URL="+server.URL("livesupport"))
		if _, err := output(cmd); err != nil {
			t.Fatalf("%q: %v", lines, err)
		}
	}
	run("createdb --owner=livesupport livesupport")
	url := server.URL("livesupport")
	a := open(t, archive.Config{URL: url})
	furnish(t, a, 0, 200)
	if err := errors.Join(
		a.Leave(t.Context(), archive.Message{MessageID: chatID("m1"), Name: "Ana", Email: "ana@example.com", Content: "hello?"}),
		a.Forget(t.Context(), chatID("c5"), chatID("not yet")), a.ForgetUser(t.Context(), "sub6"),
	); err != nil {
		t.Fatal(err)
	}
	before := archive.Rows(t, url, backupTables...)
	schema := archive.Schema(t, url)

	dump, restore := backupLines(t)
	run(dump...)
	run(`psql postgres -c "DROP DATABASE livesupport WITH (FORCE)"`)
	late := begin("late", 0).waits(1).user(2, "written meanwhile").ends(300)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := a.Take(ctx, []follow.Log{late}); !errors.Is(err, follow.ErrAway) {
		t.Fatalf("without a database: %v", err)
	}
	run(restore...)
	takeWhenBack(t, a, late)
	worksOn(t, a)
	if err := errors.Join(a.Forget(t.Context(), chatID("late")), a.Close()); err != nil {
		t.Fatal(err)
	}
	after := archive.Rows(t, url, backupTables...)
	after["forgotten_chats"] = slices.DeleteFunc(after["forgotten_chats"], func(row string) bool { return strings.Contains(row, chatID("late")) })
	compare(t, before, after)
	if got := archive.Schema(t, url); !slices.Equal(got, schema) {
		t.Errorf("the schema is %q, and was %q", got, schema)
	}
	// A later version changes the tables.
	archive.Execute(t, url, "ALTER TABLE chats ADD COLUMN later INTEGER")
	archive.Execute(t, url, "CREATE TABLE later (id INTEGER)")
}

// backupLines returns the lines of cmd/deploy/README.md that take a backup of PostgreSQL, and
// those that restore it.
func backupLines(t *testing.T) (dump, restore []string) {
	t.Helper()
	page, err := os.ReadFile("../../cmd/deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n### Backup and restore\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		line, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		switch {
		case !indented || strings.HasPrefix(line, "sqlite3"):
		case strings.HasPrefix(line, "pg_dump"):
			dump = append(dump, line)
		default:
			restore = append(restore, line)
		}
	}
	if len(dump) == 0 || len(restore) < 3 {
		t.Fatalf("the page has the lines %q and %q", dump, restore)
	}
	return dump, restore
}

// A backup of SQLite is taken while chats are archived. It has all that was there before,
// and nothing by halves; restored, it goes on.
func TestBackupSQLite(t *testing.T) {
	folder := t.TempDir()
	file, copied := filepath.Join(folder, "archive.db"), filepath.Join(folder, "copy.db")
	url := "sqlite:" + file
	a := open(t, archive.Config{URL: url})
	furnish(t, a, 0, 200)
	if err := errors.Join(
		a.Leave(t.Context(), archive.Message{MessageID: chatID("m1"), Name: "Ana", Email: "ana@example.com", Content: "hello?"}),
		a.Forget(t.Context(), chatID("c5"), chatID("not yet")), a.ForgetUser(t.Context(), "sub6"),
	); err != nil {
		t.Fatal(err)
	}
	before := archive.Rows(t, url, backupTables...)
	done := make(chan error)
	go func() {
		done <- vacuumInto(t.Context(), file, copied)
	}()
	for n := 200; ; n += 10 { // what comes meanwhile
		furnish(t, a, n, n+10)
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		default:
			continue
		}
		break
	}
	after, backup := archive.Rows(t, url, backupTables...), archive.Rows(t, "sqlite:"+copied, backupTables...)
	for table := range backup {
		if !within(backup[table], after[table]) || !within(before[table], backup[table]) {
			t.Errorf("%s: of %d rows, %d later, the backup has %d", table, len(before[table]), len(after[table]), len(backup[table]))
		}
	}
	if len(backup["chats"]) != len(backup["logs"]) {
		t.Errorf("%d chats have %d logs", len(backup["chats"]), len(backup["logs"]))
	}

	// The servers stop, and the file is lost.
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(copied, file); err != nil {
		t.Fatal(err)
	}
	a = open(t, archive.Config{URL: url})
	compare(t, backup, archive.Rows(t, url, backupTables...))
	archive.Execute(t, url, `INSERT INTO words (words) VALUES ('integrity-check')`)
	takeWhenBack(t, a, begin("late", 0).waits(1).user(2, "written meanwhile").ends(300))
	worksOn(t, a)
}

// vacuumInto is what cmd/deploy/README.md says, by the shell of SQLite where there is one.
func vacuumInto(ctx context.Context, file, copied string) error {
	statement := "VACUUM INTO '" + copied + "'"
	if program, err := exec.LookPath("sqlite3"); err == nil {
		_, err := output(exec.CommandContext(ctx, program, file, statement))
		return err
	}
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}

// output runs a program and returns what it writes.
func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	return out, err
}

// worksOn wants what was there before a backup to be found, and to stay deleted.
func worksOn(t *testing.T, a *archive.Archive) {
	t.Helper()
	for text, want := range map[string][]string{"order7": {"c77", "c7"}, "order5": {"c57", "c53"}, "written": {"late"}} {
		if got := found(t, a, text, archive.Filter{To: at(600)}); !contains(got, want...) {
			t.Errorf("%q finds %v, want %v", text, got, want)
		}
	}
	furnish(t, a, 5, 7) // deleted: neither comes back
	if got := found(t, a, "order5", archive.Filter{}); slices.Contains(got, "c5") {
		t.Errorf("a chat that was deleted is back: %v", got)
	}
	if got := found(t, a, "", archive.Filter{Sub: "sub6"}); len(got) > 0 {
		t.Errorf("chats of somebody who was deleted are back: %v", got)
	}
}

// takeWhenBack hands a chat over as soon as the archive is back.
func takeWhenBack(t *testing.T, a *archive.Archive, log follow.Log) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		err := a.Take(ctx, []follow.Log{log})
		cancel()
		switch {
		case err == nil:
			return
		case !errors.Is(err, follow.ErrAway):
			t.Fatalf("while it is away: %v", err)
		case time.Now().After(deadline):
			t.Fatalf("it does not come back: %v", err)
		}
	}
}

func compare(t *testing.T, before, after map[string][]string) {
	t.Helper()
	for _, table := range slices.Sorted(maps.Keys(before)) {
		if len(before[table]) == 0 || !slices.Equal(before[table], after[table]) {
			t.Errorf("%s: %d rows before, %d after, or others", table, len(before[table]), len(after[table]))
		}
		t.Logf("%s: %d rows are the same", table, len(before[table]))
	}
}

// within reports whether all of one list are in another.
func within(some, all []string) bool { return contains(all, some...) }

func contains(all []string, some ...string) bool {
	has := map[string]bool{}
	for _, s := range all {
		has[s] = true
	}
	return !slices.ContainsFunc(some, func(s string) bool { return !has[s] })
}
