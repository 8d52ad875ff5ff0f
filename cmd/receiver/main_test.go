package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"livesupport/broker/brokertest"
	"livesupport/client"
	"livesupport/cmd/internal/backend"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// taking is a receiver, and what it has taken.
func taking(t *testing.T, fails func(kind string, try int) bool) (r *receiver, taken func() []string) {
	t.Helper()
	signed, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []string
	tries := map[string]int{}
	r = &receiver{signed: signed, take: func(id string, event []byte) error {
		var e struct {
			Type string
			Data struct{ Content string }
		}
		if err := json.Unmarshal(event, &e); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if tries[id]++; fails(e.Type, tries[id]) {
			return errors.New("not now")
		}
		all = append(all, strings.TrimSpace(e.Type+" "+e.Data.Content))
		return nil
	}}
	return r, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// TestReceiver: the servers' own webhooks, one of which cannot be taken at first, and one
// whose answer is lost on the way.
func TestReceiver(t *testing.T) {
	t.Parallel()
	receiver, taken := taking(t, func(kind string, try int) bool { return kind == "chat.taken" && try == 1 })
	var lost sync.Once
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		receiver.ServeHTTP(answer, r)
		if answer.Code == http.StatusNoContent {
			lost.Do(func() { answer.Code = http.StatusBadGateway }) // the proxy's
		}
		w.WriteHeader(answer.Code)
	}))
	t.Cleanup(hook.Close)
	redis := brokertest.StartEmbeddedRedis(t)
	cfg, err := backend.Parse("livesupport", nil, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	cfg.ChatAddr, cfg.LobbyAddr, cfg.LogLevel, cfg.RedisURL = "127.0.0.1:0", "127.0.0.1:0", slog.LevelError, redis.URL()
	cfg.WebhookURLs, cfg.WebhookSecrets, cfg.WebhookAllowPrivate = []string{hook.URL}, []string{secret}, true
	servers, err := backend.Start(context.Background(), cfg, backend.Chat|backend.Lobby)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := servers.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	base := "http://" + servers.ChatAddr()
	who, err := client.Register(ctx, base, "Nika", client.Registration{}, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	user := client.OpenChat(ctx, base, who, client.Options{})
	t.Cleanup(user.Close)
	agent := client.OpenChat(ctx, base, who.As(client.Support, "Vika"), client.Options{})
	t.Cleanup(agent.Close)
	for range 3 {
		if _, err := agent.Send(ctx, "one"); err != nil {
			t.Fatal(err)
		}
		if _, err := user.Send(ctx, "two"); err != nil {
			t.Fatal(err)
		}
	}
	if err := agent.End(ctx); err != nil {
		t.Fatal(err)
	}
	want := []string{"chat.taken", "chat.message one", "chat.message two", "chat.message one", "chat.message two", "chat.message one", "chat.message two", "chat.closed"}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got := taken()
		if len(got) > 0 && got[0] == "chat.waiting" { // unless the agent was there first
			got = got[1:]
		}
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("taken were %q", got)
		}
	}
}

// TestEachOnce is what a sender does that has died and does not know how far it got, and one whose store
// has lost the end of a chat: positions come again, with other events.
func TestEachOnce(t *testing.T) {
	t.Parallel()
	receiver, taken := taking(t, func(string, int) bool { return false })
	send := func(id, kind string, at time.Time, signature string) int {
		body := []byte(`{"type":"` + kind + `","data":{}}`)
		if signature == "" {
			var err error
			if signature, err = receiver.signed.Sign(id, at, body); err != nil {
				t.Fatal(err)
			}
		}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		r.Header.Set("webhook-id", id)
		r.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
		r.Header.Set("webhook-signature", signature)
		answer := httptest.NewRecorder()
		receiver.ServeHTTP(answer, r)
		return answer.Code
	}
	now := time.Now()
	for _, one := range [][2]string{{"c1-4", "a"}, {"c2-4", "b"}, {"c1-10", "c"}, {"c1-10-waiting", "d"}, {"c1-4", "a"}, {"c1-10", "c"}, {"c1-10-waiting", "d"}, {"m1", "e"}, {"m1", "e"}, {"c1-11-7a", "f"}, {"c1-4", "a"}, {"c1-11-9c", "g"}} {
		if code := send(one[0], one[1], now, ""); code != http.StatusNoContent {
			t.Errorf("%s: %d", one[0], code)
		}
	}
	if got := strings.Join(taken(), ""); got != "abcdefg" {
		t.Errorf("taken were %s", got)
	}
	if code := send("c1-12", "x", now, "v1,AAAA"); code != http.StatusUnauthorized {
		t.Errorf("wrongly signed: %d", code)
	}
	if code := send("c1-12", "x", now.Add(-time.Hour), ""); code != http.StatusUnauthorized {
		t.Errorf("signed an hour ago: %d", code)
	}
	// A day later nothing of it is tried again.
	receiver.since = now.Add(-remembered - time.Minute)
	send("c1-13", "h", now, "")
	send("c1-11-7a", "f", now, "")
	if got := strings.Join(taken(), ""); got != "abcdefgh" {
		t.Errorf("taken were %s", got)
	}
}
