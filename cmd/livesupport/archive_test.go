package main

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/follow"
)

func TestArchiveCommand(t *testing.T) {
	folder := t.TempDir()
	run := func(env map[string]string, args ...string) (code int, out, errs string) {
		var stdout, stderr bytes.Buffer
		code = archiveCommand(args, func(name string) (string, bool) { value, ok := env[name]; return value, ok }, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	env := map[string]string{"DATA_DIR": folder}
	for _, args := range [][]string{nil, {"else"}, {"recompute", "--what"}} {
		if code, _, errs := run(env, args...); code != 2 || !strings.HasPrefix(errs, "livesupport archive: ") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: %d %q", args, code, errs)
		}
	}
	for _, args := range [][]string{{"--help"}, {"recompute", "--help"}} {
		if code, out, _ := run(env, args...); code != 0 || !strings.HasPrefix(out, "Usage: ") {
			t.Errorf("%q: %d %q", args, code, out)
		}
	}
	if code, _, errs := run(map[string]string{"ARCHIVE_URL": "off"}, "recompute"); code != 2 {
		t.Errorf("off: %d %q", code, errs)
	}
	if code, _, errs := run(map[string]string{"ARCHIVE_URL": "sqlite:" + folder + "/nowhere/a.db"}, "recompute"); code != 1 || !strings.Contains(errs, "does not exist") {
		t.Errorf("away: %d %q", code, errs)
	}
	a, err := archive.New(archive.Config{URL: "sqlite:" + filepath.Join(folder, "archive.db"), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	log := follow.Log{ChatID: "c", Entries: []string{
		`{"kind":"registered","at":1,"userId":"u","username":"Nika","chatId":"c"}`, `{"kind":"message","id":"1","at":2,"from":"User","content":"x"}`, `{"kind":"ended","at":3}`,
	}}
	if err := a.Take(context.Background(), []follow.Log{log}); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(env, "recompute"); code != 0 || out != "Recomputed 1 chats\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
}
