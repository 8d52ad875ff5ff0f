package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args string
		want string
	}{
		{"--chats=0", "--chats=0: want 1 to 100000"},
		{"chat --rate=NaN", "--rate=NaN: want 0.001 to 200000"},
		{"--size=20", "--size=20: want 48 to 8000"},
		{"--chat-url=localhost:9000", `--chat-url="localhost:9000": want a URL such as http://127.0.0.1:9000`},
		{"--lobby-url=ws://a", `--lobby-url="ws://a": want a URL such as http://127.0.0.1:9000`},
		{"--source=here", `--source="here": want IP addresses of this machine`},
		{"--duration=-1s", "--duration=-1s: want 10ms to 24h0m0s"},
		{"idle --conns=1", "--conns=1: want 2 to 2000000"},
		{"idle --agents=101", "--agents=101: want 0 to 100"},
		{"idle --heartbeat=31", "--heartbeat=31: want 0 to 30"},
		{"lobby --agents=0", "--agents=0: want 1 to 200000"},
		{"lobby --joins=0 --claims=1", "--claims: want no more than there are users"},
		{"dance", "unexpected argument dance (see --help)"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, exitUsage, run(t.Context(), strings.Fields(test.args), &stdout, &stderr, false), test.args)
		require.Empty(t, stdout.String())
		require.Contains(t, stderr.String(), "loadtest: "+test.want)
		require.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
	}
}

func TestHelp(t *testing.T) {
	for args, want := range map[string]string{"--help": "Commands:", "lobby --help": "--agents", "chat --help": "--rate"} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, exitOK, run(t.Context(), strings.Fields(args), &stdout, &stderr, false))
		require.Contains(t, stdout.String(), want)
		require.Empty(t, stderr.String())
	}
}

func TestNobodyThere(t *testing.T) {
	for _, args := range []string{"chat", "chat --direct", "lobby"} {
		var stdout, stderr bytes.Buffer
		line := append(strings.Fields(args), "--chat-url=http://127.0.0.1:1", "--lobby-url=http://127.0.0.1:1")
		require.Equal(t, exitFailed, run(t.Context(), line, &stdout, &stderr, false), args)
		require.Contains(t, stderr.String(), "connection refused")
		require.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
		require.Empty(t, stdout.String())
	}
}

// TestPace: what is due is done, however late, and its due time is the planned
// one: a stall makes latencies longer, not the load less.
func TestPace(t *testing.T) {
	start := time.Now().Add(-50 * time.Millisecond)
	var dues []time.Duration
	pace(t.Context(), start, 1000, 100, func(i int, due time.Time) {
		require.False(t, time.Now().Before(due))
		dues = append(dues, due.Sub(start))
		if i == 10 {
			time.Sleep(20 * time.Millisecond)
		}
	})
	require.Len(t, dues, 100)
	for i, due := range dues {
		require.InDelta(t, float64(i)*1e6, float64(due), 1000)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	pace(ctx, time.Now(), 1e5, 1000, func(int, time.Time) {
		if n++; n == 5 {
			cancel()
		}
	})
	require.Equal(t, 5, n)
}

func TestTally(t *testing.T) {
	var c tally
	for _, n := range []uint32{0, 1, 3, 2, 2, 200, 0, 199} {
		c.take(n)
	}
	require.Equal(t, 6, c.got)
	require.Equal(t, 2, c.doubled)
	require.Equal(t, 2, c.late)
}

func TestOrder(t *testing.T) {
	fingerprints := map[order]bool{}
	for _, sequence := range [][][2]int{{}, {{0, 0}}, {{1, 0}}, {{0, 0}, {1, 0}}, {{1, 0}, {0, 0}}, {{0, 0}, {0, 1}}, {{0, 1}, {0, 0}}} {
		var o order
		for _, step := range sequence {
			o.add(step[0], uint32(step[1]))
		}
		fingerprints[o] = true
	}
	require.Len(t, fingerprints, 7)
}

func TestContent(t *testing.T) {
	for _, size := range []int{minContent, 200, maxContent} {
		text := string(content(99_999, math.MaxUint32, int64(24*time.Hour/time.Microsecond), size))
		require.Len(t, text, size)
		chat, number, due, ok := parseContent(text, size)
		require.True(t, ok)
		require.Equal(t, 99_999, chat)
		require.EqualValues(t, math.MaxUint32, number)
		require.EqualValues(t, 24*time.Hour/time.Microsecond, due)
		require.True(t, json.Valid(chatMessage(identity{UserID: "u"}, "s", "User", []byte(text))))
	}
	for _, text := range []string{"", "#", "#1.2.3", "#1.2.3x", "#1..3 ", "#1.2 3 ", "x1.2.3 ", "#1.2.3.4 ", "#1234567890123456789.1.1 "} {
		_, _, _, ok := parseContent(text, len(text))
		require.False(t, ok, text)
	}
	_, _, _, ok := parseContent("#1.2.3 xx", 8)
	require.False(t, ok, "of another size")
}

func TestLobbyEvent(t *testing.T) {
	for text, want := range map[string][3]string{
		`{"type":"UserJoined","args":{"username":"a","userId":"u1","chatId":"c"}}`:              {"UserJoined", "u1", ""},
		`{"type":"UserJoined","args":{"username":"\"userId\":\"x","userId":"u1","chatId":"c"}}`: {"UserJoined", "u1", ""},
		`{"args":{"userId":"u2"}, "type": "UserJoined"}`:                                        {"UserJoined", "u2", ""},
		`{"type":"RemoveUser","args":{"userId":"u3"}}`:                                          {"RemoveUser", "u3", ""},
		`{"username":"a","userId":"u4","chatId":"c"}`:                                           {"", "u4", ""},
		`{"type":"Error","args":{"code":"already_taken","message":"m"}}`:                        {"Error", "", "already_taken"},
		`{`: {"malformed", "", ""},
	} {
		kind, userID, code := lobbyEvent([]byte(text))
		require.Equal(t, want, [3]string{kind, userID, code}, text)
	}
}

func TestPercentiles(t *testing.T) {
	l := newLatencies()
	for i := range 1000 {
		l.record(time.Duration(i+1) * time.Millisecond)
	}
	l.record(-time.Second)
	l.record(24 * time.Hour)
	p := l.percentiles()
	require.EqualValues(t, 1002, p.Count)
	require.InEpsilon(t, 500, p.P50, 0.005)
	require.InEpsilon(t, 900, p.P90, 0.005)
	require.InEpsilon(t, 990, p.P99, 0.005)
	require.InEpsilon(t, 600_000, p.Max, 0.005)
}

func TestSources(t *testing.T) {
	local, far := []string{"http://127.0.0.1:9000"}, []string{"http://127.0.0.1:9000", "http://10.0.0.1:9000"}
	for _, test := range []struct {
		given       []string
		connections int
		urls        []string
		want        int
	}{
		{nil, 1000, local, 0}, {nil, 20_000, far, 0}, {[]string{"127.0.0.9", "::1"}, 10, far, 2},
	} {
		var s sources
		s.choose(test.given, test.connections, test.urls)
		require.Len(t, s.addresses, test.want)
	}
	if !manyLoopbacks {
		return
	}
	var s sources
	s.choose(nil, 20_000, local)
	require.Len(t, s.addresses, 16)
	_, lobbies := startServers(t, 1, nil)
	seen := map[string]bool{}
	for range 32 {
		conn, err := s.dial(t.Context(), "tcp", strings.TrimPrefix(lobbies[0], "http://"))
		require.NoError(t, err)
		host, _, _ := strings.Cut(conn.LocalAddr().String(), ":")
		seen[host] = true
		conn.Close()
	}
	require.Len(t, seen, 16)
}
