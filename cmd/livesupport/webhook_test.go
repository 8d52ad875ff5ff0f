package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/follow"
	"livesupport/web/api/apitest"
)

func TestWebhookCommand(t *testing.T) {
	folder := t.TempDir()
	var got []string
	status := http.StatusNoContent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Header.Get("webhook-id")+" "+string(body))
		if err := apitest.Event(body); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	env := map[string]string{
		"DATA_DIR": folder, "WEBHOOK_URL": server.URL, "WEBHOOK_ALLOW_PRIVATE": "true",
		"WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	}
	run := func(env map[string]string, args ...string) (code int, out, errs string) {
		var stdout, stderr bytes.Buffer
		code = webhookCommand(args, func(name string) (string, bool) { value, ok := env[name]; return value, ok }, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	for _, args := range [][]string{
		nil, {"else"}, {"test", "--what"}, {"replay"}, {"replay", "--from=2026-01-01"}, {"replay", "--from=soon", "--to=2026-01-01"},
		{"replay", "--from=2026-01-02", "--to=2026-01-01"}, {"replay", "--from=2026-01-01", "--to=2026-01-02", "--chat=x"}, {"test", "--from=2026-01-01"},
	} {
		if code, _, errs := run(env, args...); code != 2 || !strings.HasPrefix(errs, "livesupport webhook: ") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: %d %q", args, code, errs)
		}
	}
	for _, missing := range []map[string]string{{}, {"WEBHOOK_URL": server.URL}} {
		if code, _, errs := run(missing, "test"); code != 2 {
			t.Errorf("%d %q", code, errs)
		}
	}
	if code, out, _ := run(env, "--help"); code != 0 || !strings.HasPrefix(out, "Usage: ") {
		t.Error(code, out)
	}
	if code, out, errs := run(env, "test"); code != 0 || !strings.Contains(out, "accepted the event") || len(got) != 1 || !strings.Contains(got[0], `{"type":"test"`) {
		t.Errorf("%d %q %q %q", code, out, errs, got)
	}
	status = http.StatusTeapot
	if code, _, errs := run(env, "test"); code != 1 || !strings.Contains(errs, "answered 418") {
		t.Errorf("%d %q", code, errs)
	}
	status = http.StatusNoContent

	a, err := archive.New(archive.Config{URL: "sqlite:" + filepath.Join(folder, "archive.db"), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 1, 23, 59, 59, 0, time.UTC).UnixMicro()
	one, two := strings.Repeat("1", 32), strings.Repeat("2", 32)
	for _, id := range []string{one, two} {
		if err := a.Take(context.Background(), []follow.Log{{ChatID: id, Entries: []string{
			fmt.Sprintf(`{"kind":"registered","at":%d,"userId":%q,"username":"Nika","chatId":%q}`, at, id, id),
			fmt.Sprintf(`{"kind":"message","id":"1","at":%d,"from":"User","content":"before"}`, at),
			fmt.Sprintf(`{"kind":"message","id":"2","at":%d,"from":"User","content":"within"}`, at+1_000_000),
			fmt.Sprintf(`{"kind":"note","id":"3","at":%d,"from":"Observer","content":"canary"}`, at+1_000_000),
			fmt.Sprintf(`{"kind":"ended","at":%d}`, at+86_401_000_000),
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	got = nil
	code, out, errs := run(env, "replay", "--from=2026-01-02", "--to", "2026-01-02T12:00:00Z")
	if code != 0 || !strings.Contains(out, "Events sent: 2, to receivers: 1") || len(got) != 2 || !strings.HasPrefix(got[0], two+"-3-") && !strings.HasPrefix(got[0], one+"-3-") || !strings.Contains(got[0], `"content":"within"`) {
		t.Errorf("%d %q %q %q", code, out, errs, got)
	}
	got = nil
	if code, out, errs := run(env, "replay", "--from=2026-01-01", "--to=2026-01-10", "--chat="+one); code != 0 || len(got) != 3 || !strings.HasPrefix(got[2], one+"-5-") || !strings.Contains(got[2], ` {"type":"chat.expired"`) || strings.Contains(strings.Join(got, ""), "canary") {
		t.Errorf("%d %q %q %q", code, out, errs, got)
	}
	if err := a.Leave(context.Background(), archive.Message{MessageID: two, Name: "Ana", Content: "hello?"}); err != nil {
		t.Fatal(err)
	}
	got = nil
	now := time.Now().UTC()
	if code, out, errs := run(env, "replay", "--from="+now.Add(-time.Hour).Format(time.RFC3339), "--to="+now.Add(time.Hour).Format(time.RFC3339)); code != 0 || len(got) != 1 || !strings.HasPrefix(got[0], two+`-1 {"type":"message.left"`) {
		t.Errorf("%d %q %q %q", code, out, errs, got)
	}
}
