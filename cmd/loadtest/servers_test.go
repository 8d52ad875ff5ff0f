package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"

	"livesupport/broker/brokertest"
	"livesupport/cmd/internal/backend"
)

// startServers starts that many backends with both parts on one embedded Redis,
// and returns the URLs of their chat servers and lobbies.
func startServers(t *testing.T, n int, tune func(*backend.Config)) (chats, lobbies []string) {
	t.Helper()
	redis := brokertest.StartEmbeddedRedis(t)
	for range n {
		cfg, err := backend.Parse("livesupport", []string{
			"--chat-addr=127.0.0.1:0", "--lobby-addr=127.0.0.1:0", "--log-level=error", "--message-rate=0", "--redis-url=" + redis.URL(),
		}, func(string) (string, bool) { return "", false })
		require.NoError(t, err)
		if tune != nil {
			tune(&cfg)
		}
		b, err := backend.Start(t.Context(), cfg, backend.Chat|backend.Lobby)
		require.NoError(t, err)
		t.Cleanup(func() { b.Shutdown(t.Context()) })
		chats = append(chats, "http://"+b.ChatAddr())
		lobbies = append(lobbies, "http://"+b.LobbyAddr())
	}
	for _, base := range append(chats[:n:n], lobbies...) {
		require.Eventually(t, func() bool {
			response, err := http.Get(base + "/readyz")
			if err != nil {
				return false
			}
			response.Body.Close()
			return response.StatusCode == http.StatusOK
		}, 10*time.Second, 10*time.Millisecond)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return chats, lobbies
}

// at are the flags that tell where the servers are.
func at(chats, lobbies []string) []string {
	return []string{"--chat-url=" + strings.Join(chats, ","), "--lobby-url=" + strings.Join(lobbies, ",")}
}

// test runs the program to its end and returns the summary, which must be there.
func test(t *testing.T, args ...string) (Summary, int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append(args, "--json"), &stdout, &stderr, false)
	require.Empty(t, stderr.String())
	var s Summary
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &s), stdout.String())
	return s, code
}

// An alteration makes of one message of a server those that its client gets.
// There is one for each connection.
type alteration func(text string) []string

// bad is a server in front of a good one: what that one says goes through an
// alteration.
func bad(t *testing.T, behind string, connect func() alteration) string {
	t.Helper()
	u, err := url.Parse(behind)
	require.NoError(t, err)
	forward := httputil.NewSingleHostReverseProxy(u)
	var open sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			forward.ServeHTTP(w, r)
			return
		}
		good, early, _, err := ws.Dial(r.Context(), "ws://"+u.Host+r.URL.Path)
		if err != nil {
			t.Error(err)
			return
		}
		client, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			good.Close()
			t.Error(err)
			return
		}
		var from io.Reader = good
		if early != nil {
			from = early
		}
		open.Go(func() {
			io.Copy(good, client)
			good.Close()
		})
		open.Go(func() {
			defer client.Close()
			alter := connect()
			for {
				f, err := ws.ReadFrame(from)
				if err != nil {
					return
				}
				out := []string{string(f.Payload)}
				if f.Header.OpCode == ws.OpText && out[0] != "ping" {
					out = alter(out[0])
				}
				if out == nil {
					return // cut
				}
				for _, text := range out {
					if ws.WriteFrame(client, ws.NewFrame(f.Header.OpCode, true, []byte(text))) != nil {
						return
					}
				}
			}
		})
	}))
	t.Cleanup(func() {
		server.Close()
		open.Wait()
	})
	return server.URL
}

// nothing is what a client gets of a message that is lost.
var nothing = []string{}

func isMessage(text string) bool { return strings.HasPrefix(text, `{"type":"ChatMessage"`) }

func isFrom(text, role string) bool {
	return isMessage(text) && strings.Contains(text, `"from":"`+role+`"`)
}
