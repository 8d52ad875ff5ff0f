package backend

import (
	"context"
	"errors"
	"io"
	"livesupport/broker/brokertest"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// testConfig is the default configuration on free ports, logging errors only.
func testConfig(t *testing.T, redisURL string) Config {
	t.Helper()
	cfg, err := Parse("livesupport", []string{
		"--chat-addr=127.0.0.1:0", "--lobby-addr=127.0.0.1:0", "--log-level=error", "--redis-url=" + redisURL,
	}, environment())
	require.NoError(t, err)
	return cfg
}

func startRedis(t *testing.T) string {
	t.Helper()
	return brokertest.StartEmbeddedRedis(t).URL()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

func shutdown(t *testing.T, b *Backend) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, b.Shutdown(ctx))
}

func TestStartServesItsPartsUntilShutdown(t *testing.T) {
	for name, parts := range map[string]Parts{"chat": Chat, "lobby": Lobby, "both": Chat | Lobby} {
		t.Run(name, func(t *testing.T) {
			url := startRedis(t)
			before := goleak.IgnoreCurrent()
			b, err := Start(t.Context(), testConfig(t, url), parts)
			require.NoError(t, err)
			t.Cleanup(func() { shutdown(t, b) })

			require.Equal(t, parts&Chat != 0, b.ChatAddr() != "")
			require.Equal(t, parts&Lobby != 0, b.LobbyAddr() != "")
			var served []string
			for _, addr := range []string{b.ChatAddr(), b.LobbyAddr()} {
				if addr != "" {
					served = append(served, addr)
				}
			}
			for _, addr := range served {
				status, _ := get(t, "http://"+addr+"/healthz")
				require.Equal(t, http.StatusOK, status)
				require.Eventually(t, func() bool {
					status, _ := get(t, "http://"+addr+"/readyz")
					return status == http.StatusOK
				}, 10*time.Second, 20*time.Millisecond)
				status, metrics := get(t, "http://"+addr+"/metrics")
				require.Equal(t, http.StatusOK, status)
				require.Contains(t, metrics, "go_goroutines ")
				require.Contains(t, metrics, "process_open_fds ")
			}

			shutdown(t, b)
			shutdown(t, b) // once more does nothing
			for _, addr := range served {
				_, err := net.Dial("tcp", addr)
				require.Error(t, err)
			}
			goleak.VerifyNone(t, before,
				// fasthttp's clock, one per process, and its cleaner, which ends within 10 s.
				goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
				goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
		})
	}
}

func TestStartDoesNotWaitForTheStore(t *testing.T) {
	cfg := testConfig(t, "redis://"+closedPort(t))
	b, err := Start(t.Context(), cfg, Chat|Lobby)
	require.NoError(t, err)
	defer shutdown(t, b)
	for _, addr := range []string{b.ChatAddr(), b.LobbyAddr()} {
		status, _ := get(t, "http://"+addr+"/healthz")
		require.Equal(t, http.StatusOK, status)
		status, body := get(t, "http://"+addr+"/readyz")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, body, `"unavailable"`)
	}
}

// closedPort is an address on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func TestStartRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	addr := taken.Addr().String()

	for name, test := range map[string]struct {
		change func(*Config)
		usage  bool
		want   string
	}{
		"chat port in use": {
			func(c *Config) { c.ChatAddr = addr; delete(c.given, "CHAT_ADDR") }, false,
			`CHAT_ADDR="` + addr + `": listen tcp ` + addr + `: bind: address already in use`,
		},
		"lobby port in use": {
			func(c *Config) { c.LobbyAddr = addr }, false,
			`--lobby-addr="` + addr + `": listen tcp ` + addr + `: bind: address already in use`,
		},
		"no store":            {func(c *Config) { c.RedisURL = "" }, true, `--redis-url="": `},
		"malformed store":     {func(c *Config) { c.RedisURL = "redis://u:secret@h/zero" }, true, `--redis-url="redis://***@h/zero": `},
		"malformed NATS":      {func(c *Config) { c.Broker, c.NATSURL = "nats", "nats://u:secret@h:x" }, true, "BROKER=nats: broker: malformed NATS URL: "},
		"half a pair":         {func(c *Config) { c.Broker, c.NATSURL, c.NATSKey = "nats", "nats://h", "key.pem" }, true, "BROKER=nats: broker: a client certificate and its key go together"},
		"one secret for both": {func(c *Config) { c.AgentSecret, c.VisitorSecret = "s3cret", "s3cret" }, true, "VISITOR_SECRET is the same as AGENT_SECRET: "},
		"two kinds of tokens": {func(c *Config) { c.AgentSecret, c.AgentJWKSURL = "s3cret", "https://a" }, true, "AGENT_SECRET and AGENT_JWKS_URL are both set: "},
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			cfg := testConfig(t, "redis://127.0.0.1:1")
			test.change(&cfg)
			b, err := Start(t.Context(), cfg, Chat|Lobby)
			require.Nil(t, b)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "s3cret")
			require.NotContains(t, err.Error(), ":secret")
			require.NotContains(t, err.Error(), "\n")
			usage := UsageError("")
			require.Equal(t, test.usage, errors.As(err, &usage))
			goleak.VerifyNone(t, before)
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	cfg := testConfig(t, startRedis(t))
	go func() { ended <- Run(ctx, cfg, Chat|Lobby) }()
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) { // the start may not have come so far
			require.NoError(t, err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
}

func TestFailedListenerEndsTheBackend(t *testing.T) {
	b, err := Start(t.Context(), testConfig(t, startRedis(t)), Chat|Lobby)
	require.NoError(t, err)
	first := slices.IndexFunc(b.steps, func(s step) bool { return s.name == "listener" })
	require.NoError(t, b.steps[first].run(t.Context()), "the chat server's listener breaks")

	ended := make(chan error, 1)
	go func() { ended <- b.run(t.Context(), nil) }()
	select {
	case err := <-ended:
		require.ErrorContains(t, err, "chat server: ")
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
	_, err = net.Dial("tcp", b.LobbyAddr())
	require.Error(t, err, "the lobby has ended too")
}

func TestShutdownRunsEveryStepLastFirst(t *testing.T) {
	b := &Backend{log: slog.New(slog.DiscardHandler)}
	steps := make(chan string, 4)
	add := func(name string, limit time.Duration, err error, until <-chan struct{}) {
		b.onShutdown(name, limit, func() error {
			steps <- name
			if until != nil {
				<-until
			}
			return err
		})
	}
	hang := make(chan struct{})
	defer close(hang)
	add("store", time.Minute, errors.New("sulks"), nil)
	add("broker", time.Minute, nil, nil)
	add("queue", 200*time.Millisecond, nil, hang)
	add("chats", time.Minute, errors.New("stuck"), nil)

	err := b.Shutdown(t.Context())
	require.EqualError(t, err, "close chats: stuck\nclose queue: not done in time\nclose store: sulks")
	require.Equal(t, err, b.Shutdown(t.Context()))
	var order []string
	for range cap(steps) {
		order = append(order, <-steps)
	}
	require.Equal(t, []string{"chats", "queue", "broker", "store"}, order)
}

func TestPageURL(t *testing.T) {
	for addr, want := range map[string]string{
		"[::]:9000":       "http://localhost:9000/",
		"0.0.0.0:9001":    "http://localhost:9001/",
		"127.0.0.1:80":    "http://127.0.0.1:80/",
		"[::1]:9000":      "http://[::1]:9000/",
		"192.0.2.7:12345": "http://192.0.2.7:12345/",
	} {
		require.Equal(t, want, pageURL(addr))
	}
}
