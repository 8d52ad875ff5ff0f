package web

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"livesupport/lobby/settings"
)

// TestDeskIsLookedAtOnce: many requests cause one look a second, and none of them waits as long as
// an answer is known.
func TestDeskIsLookedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		d := desk{look: func(context.Context) (Desk, error) {
			time.Sleep(500 * time.Millisecond)
			return Desk{Agents: int(looks.Add(1))}, nil
		}}
		ask := func(want int) {
			t.Helper()
			got, err := d.now()
			require.NoError(t, err)
			require.Equal(t, want, got.Agents)
		}
		var asking sync.WaitGroup
		for range 100 {
			asking.Go(func() { ask(1) })
		}
		asking.Wait()
		ask(1)
		time.Sleep(499 * time.Millisecond) // 999 ms after the look began
		began := time.Now()
		ask(1)
		time.Sleep(time.Millisecond)
		asking.Go(func() { ask(2) }) // looks
		synctest.Wait()
		ask(1)
		require.Equal(t, time.Millisecond, time.Since(began))
		asking.Wait()
		ask(2)
		time.Sleep(time.Hour)
		asking.Go(func() { ask(3) })
		synctest.Wait()
		ask(3) // what is an hour old does not count
		asking.Wait()
		require.EqualValues(t, 3, looks.Load())
	})
}

// TestDeskOutOfSight: a known answer serves for three seconds. After that there is an error, at
// once, and one look a second.
func TestDeskOutOfSight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away, looks := false, 0
		d := desk{look: func(ctx context.Context) (Desk, error) {
			looks++
			if away {
				<-ctx.Done()
				return Desk{}, errors.New("away")
			}
			return Desk{Agents: looks}, nil
		}}
		got, err := d.now()
		require.NoError(t, err)
		require.Equal(t, 1, got.Agents)
		away = true
		time.Sleep(time.Second)
		began := time.Now()
		var asking sync.WaitGroup
		asking.Go(func() {
			_, err := d.now()
			require.EqualError(t, err, "away")
			require.Equal(t, deskTimeout, time.Since(began))
		})
		synctest.Wait()
		got, err = d.now()
		require.NoError(t, err)
		require.Equal(t, 1, got.Agents)
		time.Sleep(2*time.Second - time.Millisecond)
		_, err = d.now()
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
		_, err = d.now() // waits for the look
		require.EqualError(t, err, "away")
		asking.Wait()
		require.Equal(t, 2, looks)
		away = false
		got, err = d.now()
		require.NoError(t, err)
		require.Equal(t, 3, got.Agents)
		for range 10 {
			_, err = d.now()
			require.NoError(t, err)
		}
		require.Equal(t, 3, looks)
	})
}

// chatServer is one without chats.
func chatServer(t testing.TB, options Options) *Server {
	t.Helper()
	options.PingInterval, options.IdleTimeout = time.Second, time.Minute
	options.AllowedOrigins, options.Log, options.Metrics = []string{"*"}, slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	s := NewChat(nil, options)
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	return s
}

// statusOf is what GET /status answers at a time, with these settings.
func statusOf(t *testing.T, text string, options Options) string {
	t.Helper()
	if text != "" {
		file := filepath.Join(t.TempDir(), "settings.json")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		var err error
		options.Settings, err = settings.Open(file)
		require.NoError(t, err)
	}
	s := chatServer(t, options)
	code, header, body := s.fetch(t, "/status", fiber.HeaderOrigin, "https://shop.example")
	require.Equal(t, fiber.StatusOK, code, body)
	require.Equal(t, "application/json", header(fiber.HeaderContentType))
	require.Equal(t, "no-store", header(fiber.HeaderCacheControl))
	require.Equal(t, "*", header(fiber.HeaderAccessControlAllowOrigin))
	return body
}

func TestStatus(t *testing.T) {
	at := func(text string) func() time.Time {
		moment, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return func() time.Time { return moment }
	}
	stands := func(context.Context) (Desk, error) {
		return Desk{Agents: 3, Waiting: 2, Estimate: 59500 * time.Millisecond, OfTeam: func(team string) int { return len(team) }}, nil
	}
	const hours = `{"zone":"Europe/Berlin","week":{"mon":["09:00-12:00"]}}`
	for _, test := range []struct {
		settings string
		options  Options
		want     string
	}{
		{"", Options{}, `{"open":true,"opens":null,"agents":0,"waiting":0,"estimate":null,"teams":[],"messages":false,"preview":false}`},
		{"{}", Options{Overview: stands, Messages: true, Site: Site{TypingPreview: true}, Files: &FileLimits{10, []string{"image/png"}}},
			`{"open":true,"opens":null,"agents":3,"waiting":2,"estimate":60,"teams":[],"files":{"size":10,"types":["image/png"]},"messages":true,"preview":true}`},
		{`{"hours":` + hours + `}`, Options{Now: at("2026-11-30T07:59:59Z")},
			`{"open":false,"opens":"2026-11-30T08:00:00.000000Z","agents":0,"waiting":0,"estimate":null,"teams":[],"messages":false,"preview":false}`},
		{`{"hours":` + hours + `}`, Options{Now: at("2026-11-30T08:00:00Z")},
			`{"open":true,"opens":null,"agents":0,"waiting":0,"estimate":null,"teams":[],"messages":false,"preview":false}`},
		{`{"teams":[{"id":"a"},{"id":"billing","name":"Billing","hours":` + hours + `}],"hours":{"zone":"Asia/Tokyo"}}`, Options{Now: at("2026-11-30T10:59:59Z"), Overview: stands},
			`{"open":false,"opens":null,"agents":3,"waiting":2,"estimate":60,"teams":[{"id":"a","name":"a","open":false,"agents":1},{"id":"billing","name":"Billing","open":true,"agents":7}],"messages":false,"preview":false}`},
		{`{"form":[{"id":"a","label":{"en":"<A>","ka":"ა"}}],"away":{"de":"Weg"},"consent":{"link":"https://a","text":{"en":"Yes"}},"replies":[{"shortcut":"a","text":"secret"}]}`, Options{},
			`{"open":true,"opens":null,"agents":0,"waiting":0,"estimate":null,"teams":[],"form":[{"id":"a","label":{"en":"<A>","ka":"ა"}}],"away":{"de":"Weg"},"consent":{"link":"https://a","text":{"en":"Yes"}},"messages":false,"preview":false}`},
	} {
		require.Equal(t, test.want, statusOf(t, test.settings, test.options), test.settings)
	}
}

// TestStatusWithoutStore: what needs the store is refused as everywhere.
func TestStatusWithoutStore(t *testing.T) {
	s := chatServer(t, Options{Overview: func(context.Context) (Desk, error) { return Desk{}, errors.New("away") }})
	code, header, body := s.fetch(t, "/status")
	require.Equal(t, fiber.StatusServiceUnavailable, code)
	require.Equal(t, "1", header(fiber.HeaderRetryAfter))
	require.Contains(t, body, `"unavailable"`)
}

func BenchmarkStatus(b *testing.B) {
	example, err := settings.Open("../cmd/deploy/settings.json")
	require.NoError(b, err)
	s := chatServer(b, Options{Settings: example})
	handle := s.app.Handler()
	b.ReportAllocs()
	for b.Loop() {
		c := &fasthttp.RequestCtx{}
		c.Request.SetRequestURI("http://chat.example/status")
		handle(c)
		if c.Response.StatusCode() != fiber.StatusOK {
			b.Fatal(c.Response.String())
		}
	}
}
