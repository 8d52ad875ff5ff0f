package web

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"livesupport/lobby/settings"
)

// lobbyServer is one without agents.
func lobbyServer(t testing.TB, options Options) *Server {
	t.Helper()
	options.PingInterval, options.IdleTimeout = time.Second, time.Minute
	options.Log, options.Metrics = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	s := NewLobby(nil, options)
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	return s
}

// from is a request of an address, with header lines in pairs.
func from(address, method, path string, headers ...string) *fasthttp.RequestCtx {
	c := &fasthttp.RequestCtx{}
	c.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.ParseIP(address), Port: 5000}, nil)
	c.Request.Header.SetMethod(method)
	c.Request.SetRequestURI(path)
	c.Request.Header.SetHost("localhost:9001")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == fiber.HeaderHost {
			c.Request.Header.SetHost(headers[i+1])
		} else {
			c.Request.Header.Add(headers[i], headers[i+1])
		}
	}
	return c
}

// TestAPIIsForAgents: the routes for agents answer requests with an agent's token or, without
// tokens, from this machine. No page of another origin gets an answer, whatever origins are
// allowed.
func TestAPIIsForAgents(t *testing.T) {
	good, err := Token{Subject: "vika", Name: "Vika"}.Sign(testSecret, time.Hour)
	require.NoError(t, err)
	old, err := Token{Subject: "vika", Name: "Vika"}.Sign(testSecret, -time.Hour)
	require.NoError(t, err)
	const local, far = "127.0.0.1", "192.0.2.7"
	const origin, site = fiber.HeaderOrigin, "Sec-Fetch-Site"
	verifier := NewSecretVerifier(testSecret, "", "")
	handlers := map[*Verifier]map[string]fasthttp.RequestHandler{}
	for _, agents := range []*Verifier{nil, verifier} {
		handlers[agents] = map[string]fasthttp.RequestHandler{}
		for _, allowed := range []string{"*", "https://shop.example"} {
			handlers[agents][allowed] = lobbyServer(t, Options{Agents: agents, AllowedOrigins: []string{allowed}}).app.Handler()
		}
	}
	for _, test := range []struct {
		agents  *Verifier
		address string
		headers []string
		status  int
	}{
		{nil, local, nil, 200},
		{nil, "::1", []string{"Host", "[::1]:9001"}, 200},
		{nil, "::ffff:127.0.0.1", []string{"Host", "127.0.0.1:9001"}, 200},
		{nil, "127.8.9.1", []string{"Host", "LOCALHOST"}, 200},
		{nil, local, []string{"Host", "127.1.2.3"}, 200},
		{nil, local, []string{"Host", "desk.localhost:9001"}, 200},
		{nil, far, nil, 401},
		{nil, far, []string{"Authorization", "Bearer " + good}, 401},
		{nil, "10.0.0.1", nil, 401},
		{nil, "2001:db8::1", nil, 401},
		{nil, local, []string{"X-Forwarded-For", far}, 401},
		{nil, local, []string{"X-Forwarded-For", local}, 401},
		{nil, local, []string{"X-Forwarded-For", ""}, 401},
		{nil, local, []string{"Forwarded", "for=127.0.0.1"}, 401},
		{nil, local, []string{"Host", "support.example.com"}, 401},
		{nil, local, []string{"Host", "support.example.com:9001"}, 401},
		{nil, local, []string{"Host", "localhost.example.com"}, 401},
		{nil, local, []string{"Host", "127.0.0.1.example.com"}, 401},
		{nil, local, []string{"Host", "192.0.2.1:9001"}, 401},
		{nil, local, []string{"Host", ""}, 401},
		{verifier, far, []string{"Authorization", "Bearer " + good}, 200},
		{verifier, far, []string{"Authorization", "Bearer " + good, "X-Forwarded-For", far, "Host", "support.example.com"}, 200},
		{verifier, far, []string{"Authorization", "Basic dmlrYTp4", tokenHeader, good}, 200},
		{verifier, local, nil, 401},
		{verifier, local, []string{"Authorization", "Basic dmlrYTp4"}, 401},
		{verifier, local, []string{"Authorization", "Bearer " + old}, 401},
		{verifier, local, []string{tokenHeader, old}, 403}, // a 401 would be about the password beside it
		{verifier, local, []string{"Authorization", "Bearer "}, 401},
		// Pages.
		{nil, local, []string{origin, "http://localhost:9001"}, 200},
		{nil, local, []string{origin, "http://localhost:9001", site, "same-origin"}, 200},
		{nil, local, []string{site, "same-origin"}, 200},
		{nil, local, []string{site, "none"}, 200},
		{nil, local, []string{origin, "http://localhost:9000"}, 403},
		{nil, local, []string{origin, "http://localhost"}, 403},
		{nil, local, []string{origin, "null"}, 403},
		{nil, local, []string{origin, "https://shop.example"}, 403},
		{nil, local, []string{origin, "https://shop.example", site, "cross-site"}, 403},
		{nil, local, []string{site, "cross-site"}, 403}, // an image, a link
		{nil, local, []string{site, "same-site"}, 403},
		{verifier, far, []string{"Authorization", "Bearer " + good, origin, "https://shop.example"}, 403},
		{verifier, far, []string{"Authorization", "Bearer " + good, origin, "https://agents.example", "Host", "agents.example"}, 200},
		{verifier, far, []string{origin, "https://shop.example"}, 403},
	} {
		for allowed, handle := range handlers[test.agents] {
			c := from(test.address, fiber.MethodGet, "/api/v1/replies", test.headers...)
			handle(c)
			require.Equal(t, test.status, c.Response.StatusCode(), "%q from %s, allowed %s", test.headers, test.address, allowed)
			require.Empty(t, c.Response.Header.Peek(fiber.HeaderAccessControlAllowOrigin), test.headers)
			require.Equal(t, "no-store", string(c.Response.Header.Peek(fiber.HeaderCacheControl)))
			switch test.status {
			case 200:
				require.Equal(t, `{"replies":[]}`, string(c.Response.Body()))
			case 401:
				require.Contains(t, string(c.Response.Body()), `"unauthorized"`)
			}
			c = from(test.address, fiber.MethodOptions, "/api/v1/replies", append(test.headers, "Access-Control-Request-Method", "GET")...)
			handle(c)
			require.Empty(t, c.Response.Header.Peek(fiber.HeaderAccessControlAllowOrigin), "preflight with %q", test.headers)
			if test.status == 403 && test.headers[0] != tokenHeader {
				require.Equal(t, 403, c.Response.StatusCode(), "preflight with %q", test.headers)
			}
		}
	}
}

func TestReplies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"replies":[{"shortcut":"hi","text":"Hello {username}, this is {agent}."},{"text":"Bye","shortcut":"b"}]}`), 0o600))
	set, err := settings.Open(file)
	require.NoError(t, err)
	handle := lobbyServer(t, Options{AllowedOrigins: []string{"*"}, Settings: set}).app.Handler()
	ask := func(method, path string) (int, string) {
		c := from("127.0.0.1", method, path)
		handle(c)
		return c.Response.StatusCode(), string(c.Response.Body())
	}
	status, body := ask(fiber.MethodGet, "/api/v1/replies")
	require.Equal(t, 200, status)
	require.Equal(t, `{"replies":[{"shortcut":"hi","text":"Hello {username}, this is {agent}."},{"shortcut":"b","text":"Bye"}]}`, body)
	status, _ = ask(fiber.MethodGet, "/api/v1/nothing")
	require.Equal(t, 404, status)
}
