package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"livesupport/lobby/wire"
)

// noticing is a server whose log is kept.
type noticing struct {
	*Server
	log bytes.Buffer
}

func startNoticing(t *testing.T, change func(*Options)) *noticing {
	t.Helper()
	n := &noticing{}
	options := Options{
		AllowedOrigins: []string{"*"}, HeaderBytes: 8192, BodyBytes: 4096, PingInterval: time.Second, IdleTimeout: time.Minute, MaxSockets: 10,
		Log: slog.New(slog.NewTextHandler(&n.log, nil)), Metrics: prometheus.NewRegistry(), Ready: func() error { return nil },
	}
	change(&options)
	n.Server = newServer("chat", options, chatPage)
	n.app.Get("/users", n.upgrade(true, func(*websocket.Conn) func(wire.Peer) session { return nil }))
	n.app.Get("/address", func(c *fiber.Ctx) error { return c.SendString(n.clientAddress(c).String()) })
	n.app.Use(notFound)
	t.Cleanup(func() { require.NoError(t, n.Shutdown(context.Background())) })
	return n
}

// get sends a request with headers, by name and value.
func (n *noticing) get(t *testing.T, path string, headers ...string) *http.Response {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, "http://support.example"+path, nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := n.app.Test(request, 10_000)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response
}

// warnings are the lines at warn so far.
func (n *noticing) warnings() []string {
	return strings.Split(strings.TrimSpace(n.log.String()), "\n")
}

var handshake = []string{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version", "13"}

func TestSeldom(t *testing.T) {
	var s seldom
	now := time.Now()
	require.True(t, s.passes("a", now))
	require.False(t, s.passes("a", now.Add(seldomSpan-1)))
	for i := range seldomKeys - 1 {
		require.True(t, s.passes(fmt.Sprint(i), now))
	}
	require.False(t, s.passes("one more", now))
	require.True(t, s.passes("a", now.Add(seldomSpan)))
}

func TestRefusedOriginIsToldOnce(t *testing.T) {
	n := startNoticing(t, func(o *Options) { o.AllowedOrigins = []string{"https://shop.example"} })
	for range 3 {
		require.Equal(t, 403, n.get(t, "/nothing", "Origin", "https://evil.example").StatusCode)
		require.Equal(t, 404, n.get(t, "/nothing", "Origin", "https://shop.example").StatusCode)
	}
	require.Len(t, n.warnings(), 1)
	require.Contains(t, n.warnings()[0], "ALLOWED_ORIGINS")
	require.Contains(t, n.warnings()[0], "origin=https://evil.example")
	for i := range 100 {
		n.get(t, "/nothing", "Origin", fmt.Sprint("https://", strings.Repeat("x", 1000), i, ".example"))
	}
	require.LessOrEqual(t, len(n.warnings()), seldomKeys)
	require.Less(t, n.log.Len(), seldomKeys*500)
}

func TestOwnPagesGetTheirFiles(t *testing.T) {
	n := startNoticing(t, func(o *Options) {
		o.AllowedOrigins = []string{"https://shop.example"}
		o.Site.ChatURL = "https://public.example/chat"
	})
	for _, own := range [][]string{
		{"Origin", "https://support.example"}, {"Origin", "http://support.example"}, {"Origin", "https://public.example"},
		{"Origin", "https://seen.example", "X-Forwarded-Host", "seen.example"}, {"Origin", "https://rewritten.example", "Sec-Fetch-Site", "same-origin"},
	} {
		for _, path := range []string{"/", "/widget.js", "/client.js", "/assets/x/visitor.js"} {
			require.Equal(t, 200, n.get(t, path, own...).StatusCode, "%s %s", path, own)
		}
		require.Equal(t, 403, n.get(t, "/users", own...).StatusCode, own)
	}
	for _, foreign := range []string{"https://evil.example", "null", "https://support.example.evil.example", "https://support.example:8443"} {
		require.Equal(t, 403, n.get(t, "/widget.js", "Origin", foreign).StatusCode, foreign)
	}
}

func TestStaticFilesMayBeCached(t *testing.T) {
	anyone := startNoticing(t, func(*Options) {})
	some := startNoticing(t, func(o *Options) { o.AllowedOrigins = []string{"https://shop.example"} })
	for _, path := range []string{"/", "/widget.js", "/client.js", "/connection.js", "/assets/x/visitor.js"} {
		for _, headers := range [][]string{nil, {"Origin", "https://shop.example"}} {
			r := anyone.get(t, path, headers...)
			require.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"), path)
			r = anyone.get(t, path, append(headers, "If-None-Match", r.Header.Get("ETag"))...)
			require.Equal(t, 304, r.StatusCode)
			require.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"), path)

			r = some.get(t, path, headers...)
			require.Contains(t, strings.Join(r.Header.Values("Vary"), ","), "Origin", path)
			want := ""
			if headers != nil {
				want = "https://shop.example"
			}
			require.Equal(t, want, r.Header.Get("Access-Control-Allow-Origin"), path)
		}
	}
	require.Empty(t, anyone.get(t, "/healthz").Header.Get("Access-Control-Allow-Origin"))
}

func TestRefusedTokenIsToldOnce(t *testing.T) {
	n := startNoticing(t, func(o *Options) { o.Agents = NewSecretVerifier(testSecret, "aud", "iss") })
	token := func(secret, audience, issuer string, ttl time.Duration) string {
		signed, err := Token{Subject: "vika", Name: "Vika", Audience: audience, Issuer: issuer}.Sign(secret, ttl)
		require.NoError(t, err)
		return "Bearer " + signed
	}
	require.Equal(t, 401, n.get(t, "/users").StatusCode)
	require.Empty(t, n.log.String(), "without a token")
	other := strings.Repeat("x", 32)
	n.get(t, "/users", "Authorization", token(testSecret, "aud", "iss", -time.Hour))
	require.Contains(t, n.warnings()[0], "token is expired")
	require.NotContains(t, n.warnings()[0], "variable=")
	for _, c := range []struct{ token, reason, variable string }{
		{token(other, "aud", "iss", time.Hour), "signature is invalid", "AGENT_SECRET"},
		{token(testSecret, "else", "iss", time.Hour), "invalid audience", "AGENT_AUDIENCE"},
		{token(testSecret, "aud", "else", time.Hour), "invalid issuer", "AGENT_ISSUER"},
	} {
		n.log.Reset()
		for range 3 {
			require.Equal(t, 401, n.get(t, "/users", "Authorization", c.token).StatusCode)
		}
		require.Len(t, n.warnings(), 1, c.variable)
		require.Contains(t, n.warnings()[0], "level=WARN")
		require.Contains(t, n.warnings()[0], c.reason)
		require.Contains(t, n.warnings()[0], "variable="+c.variable)
	}
}

func TestLostUpgradeIsToldOnce(t *testing.T) {
	n := startNoticing(t, func(*Options) {})
	require.Equal(t, 426, n.get(t, "/users").StatusCode)
	require.Empty(t, n.log.String(), "a plain request is no handshake")
	for range 3 {
		require.Equal(t, 426, n.get(t, "/users", handshake...).StatusCode)
	}
	require.Len(t, n.warnings(), 1)
	require.Contains(t, n.warnings()[0], "pass on the headers Upgrade and Connection")
}

func TestUnknownProxyIsToldOnce(t *testing.T) {
	const forwarded = "X-Forwarded-For"
	for name, c := range map[string]struct {
		change func(*Options)
		lines  int
	}{
		"no limits":   {func(*Options) {}, 0},
		"not trusted": {func(o *Options) { o.SocketsPerAddress = 5 }, 1},
		"trusted": {func(o *Options) {
			o.SocketsPerAddress, o.TrustedProxies = 5, []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		}, 0},
	} {
		n := startNoticing(t, c.change)
		for range 3 {
			require.Equal(t, 200, n.get(t, "/address").StatusCode)
			require.Equal(t, 200, n.get(t, "/address", forwarded, "203.0.113.1").StatusCode)
		}
		require.Equal(t, c.lines, strings.Count(n.log.String(), "TRUSTED_PROXIES"), "%s: %s", name, n.log.String())
	}
}
