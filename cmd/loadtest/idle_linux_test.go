package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"livesupport/cmd/internal/backend"
)

// TestMain lets the tests' own program be the processes that hold a crowd.
func TestMain(m *testing.M) {
	workerMain()
	os.Exit(m.Run())
}

func TestIdle(t *testing.T) {
	chats, lobbies := startServers(t, 2, func(c *backend.Config) { c.PingInterval = 100 * time.Millisecond })
	s, code := test(t, append(at(chats, lobbies), "idle", "--conns=200", "--agents=10", "--heartbeat=1", "--duration=3s", "--chats=3", "--rate=20", "--settle=0s")...)
	require.Equal(t, exitOK, code, s.Faults)
	c := s.Idle
	require.Equal(t, [3]int{90, 90, 20}, [3]int{c.Users, c.Supports, c.Agents})
	require.Equal(t, 206, s.Connections)
	require.EqualValues(t, 90, c.UserJoin.Count)
	require.EqualValues(t, 90, c.SupportJoin.Count)
	require.EqualValues(t, 20, c.AgentLoad.Count)
	require.Greater(t, s.Heartbeats.Answered, int64(200*3), "at once, and each second")
	require.Greater(t, s.Heartbeats.Gap.P50, 500.0, "the heartbeat of the flag, not the servers'")
	require.Greater(t, c.Before.Available, c.Lowest-1)
	require.Positive(t, c.ResidentMiB)
	require.Positive(t, c.Closing)
	require.Len(t, c.Lobbies, 2)
	require.EqualValues(t, 60, s.Chats.Sent)
	require.EqualValues(t, 120, s.Chats.Copies)
	require.Equal(t, 3, s.Chats.Histories)
	for _, base := range append(chats, lobbies...) {
		require.Eventually(t, func() bool { return openSockets(t, base) == 0 }, 10*time.Second, 10*time.Millisecond, "all are closed at the servers, too")
	}
}

// openSockets is how many sockets a server has, of any kind.
func openSockets(t *testing.T, base string) (n int) {
	response, err := http.Get(base + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(response.Body)
	require.NoError(t, err)
	for line := range strings.Lines(text.String()) {
		var value int
		if strings.HasPrefix(line, "livesupport_connections") {
			_, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &value)
			require.NoError(t, err)
			n += value
		}
	}
	return n
}

// TestIdleProcesses: what one process cannot hold is held by several.
func TestIdleProcesses(t *testing.T) {
	chats, lobbies := startServers(t, 1, nil)
	l := newLoad(common{ChatURL: chats, LobbyURL: lobbies, Openers: 16})
	defer l.close()
	o := idleOptions{Conns: 60, Agents: 20, Heartbeat: 30, Closers: 8}
	c, err := l.startCrowd(o, 25)
	require.NoError(t, err)
	require.Len(t, c.workers, 3)
	defer c.kill()
	most := [kinds]int{}
	stopped, err := c.open(t.Context(), func() string {
		s, _ := c.sum()
		if s.Open[kindAgent] > 0 && most[kindAgent] == 0 {
			require.Equal(t, 24, s.Open[kindSupport], "agents come last")
		}
		most = s.Open
		return ""
	})
	require.NoError(t, err)
	require.Empty(t, stopped)
	require.Eventually(t, func() bool { s, _ := c.sum(); return s.Open == [kinds]int{24, 24, 12} }, 10*time.Second, 10*time.Millisecond)
	_, err = c.close()
	require.NoError(t, err)
	joins, _ := c.merged()
	require.EqualValues(t, 24, joins[kindUser].percentiles().Count)
	for _, w := range c.workers {
		require.NotNil(t, w.command.ProcessState, "it has been waited for")
	}
}

// TestIdleStops: what runs out is named, with the number that was reached.
func TestIdleStops(t *testing.T) {
	chats, lobbies := startServers(t, 1, func(c *backend.Config) { c.MaxSockets = 20 })
	s, code := test(t, append(at(chats, lobbies), "idle", "--agents=0", "--conns=60", "--settle=0s")...)
	require.Equal(t, exitFaults, code)
	require.Len(t, s.Faults, 1, s.Faults)
	require.Contains(t, s.Faults[0], " connections: a ")
	// A server that is full may close before it has read all that was sent, which destroys its answer.
	require.Regexp(t, "503 Service Unavailable|connection reset by peer", s.Faults[0])
	require.LessOrEqual(t, s.Connections, 20)
	require.Positive(t, s.Connections)
}

// TestIdleCannotRun: without a single connection there is no summary.
func TestIdleCannotRun(t *testing.T) {
	chats, lobbies := startServers(t, 1, nil)
	nobody := []string{"http://127.0.0.1:1"}
	for _, row := range []struct {
		chats []string
		flag  string
		want  string
	}{
		{chats, "--keep-free=100000000", "memory: the machine has only "},
		{nobody, "--agents=10", "a user connecting to 127.0.0.1:1: connection refused"},
		{[]string{"https://127.0.0.1:1"}, "--agents=10", "idle connections are without TLS"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append(at(row.chats, lobbies), "idle", row.flag), &stdout, &stderr, false)
		require.Equal(t, exitFailed, code, row.want)
		require.Contains(t, stderr.String(), row.want)
		require.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
		require.Empty(t, stdout.String())
	}
}

var interruptedIdle = []interruption{
	{"opening idle ones", []string{"idle", "--conns=20000", "--openers=2"}, "opening connections · "},
	{"idle", []string{"idle", "--conns=4"}, " of 10m0s"},
}

// TestIdleCut: connections that a server ends are counted.
func TestIdleCut(t *testing.T) {
	chats, _ := startServers(t, 1, func(c *backend.Config) { c.ChatTTL = 2 * time.Second })
	s, code := test(t, append(at(chats, []string{"http://127.0.0.1:1"}), "idle", "--agents=0", "--conns=20", "--settle=0s", "--duration=5s")...)
	require.Equal(t, exitFaults, code)
	require.Equal(t, []string{"20 connections were cut: close 1000 chat expired"}, s.Faults)
}

// TestWorkerAlone: a process ends with whoever started it.
func TestWorkerAlone(t *testing.T) {
	chats, lobbies := startServers(t, 1, nil)
	w, err := startWorker(assignment{Chats: partOf(5, 0, 1), ChatURLs: chats, LobbyURLs: lobbies, Openers: 2, Closers: 2})
	require.NoError(t, err)
	w.tell(commandChats)
	require.Eventually(t, func() bool { s, _ := w.now(); return s.Open[kindSupport] == 5 }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, w.in.Close())
	<-w.ended
	_, err = w.now()
	require.ErrorContains(t, err, "has ended")
}

func TestResponse(t *testing.T) {
	const one = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX: y\r\n\r\n{}"
	for n := range len(one) {
		_, _, _, whole, err := response([]byte(one[:n]))
		require.NoError(t, err)
		require.False(t, whole, n)
	}
	head, body, rest, whole, err := response([]byte(one + "more"))
	require.NoError(t, err)
	require.True(t, whole)
	require.Contains(t, string(head), "200 OK")
	require.Equal(t, "{}", string(body))
	require.Equal(t, "more", string(rest))
	for _, bad := range []string{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", strings.Repeat("x", 1<<17)} {
		_, _, _, _, err := response([]byte(bad))
		require.Error(t, err)
	}
}

func TestServerFrame(t *testing.T) {
	for _, size := range []int{0, 4, 125, 126, 65_535, 65_536} {
		header := []byte{0x81, byte(size)}
		switch {
		case size > 65_535:
			header = []byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}
		case size > 125:
			header = []byte{0x81, 126, byte(size >> 8), byte(size)}
		}
		b := append(header, bytes.Repeat([]byte{'x'}, size)...)
		for _, n := range []int{0, 1, len(header) - 1, len(b) - 1} {
			_, _, _, whole, err := serverFrame(b[:n])
			require.NoError(t, err)
			require.False(t, whole)
		}
		_, payload, rest, whole, err := serverFrame(append(b, "rest"...))
		require.NoError(t, err)
		require.True(t, whole)
		require.Len(t, payload, size)
		require.Equal(t, "rest", string(rest))
	}
	for _, bad := range []string{"\x81\x84", "\x01\x04", "\xc1\x04", "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"} {
		_, _, _, _, err := serverFrame([]byte(bad))
		require.Error(t, err)
	}
}

func TestMachine(t *testing.T) {
	m := readMachine()
	require.Positive(t, m.Available)
	require.Positive(t, m.Slab)
	require.Positive(t, m.Sockets)
	err := checkMachine(1<<40, []string{"http://127.0.0.1:9000"}, 16)
	require.ErrorContains(t, err, "fs.file-max")
	require.ErrorContains(t, err, "sysctl -w net.ipv4.ip_local_port_range")
	require.NoError(t, checkMachine(10, []string{"http://127.0.0.1:9000"}, 0))
}

// TestServersWithFewFiles: a server that cannot hold its part is named before the start.
func TestServersWithFewFiles(t *testing.T) {
	server := func(files float64) *gauges {
		return &gauges{all: []*gauge{{url: "http://a", empty: reading{files: files}}}}
	}
	it := &idleTest{idle: idleOptions{Conns: 1000, Agents: 20}, lobbies: server(200)}
	require.NoError(t, it.checkServers(server(800)))
	require.NoError(t, it.checkServers(server(0)), "it does not tell")
	require.ErrorContains(t, it.checkServers(server(799)), "http://a may open 799 files")
	it.lobbies = server(199)
	require.ErrorContains(t, it.checkServers(server(800)), "http://a may open 199 files")
}
