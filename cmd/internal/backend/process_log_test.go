//go:build unix

package backend

import (
	"bytes"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// serving is a process whose log nobody has to read: its ports are known before.
type serving struct {
	cmd         *exec.Cmd
	chat, lobby string
	ended       chan error
}

// serveTo starts livesupport with standard error going to a file.
func serveTo(t *testing.T, dir string, stderr *os.File, env ...string) *serving {
	t.Helper()
	s := &serving{chat: closedPort(t), lobby: closedPort(t), ended: make(chan error, 1)}
	s.cmd = command(t, filepath.Join(dir, "livesupport"), nil, append(env, "CHAT_ADDR="+s.chat, "LOBBY_ADDR="+s.lobby))
	s.cmd.Stderr = stderr
	require.NoError(t, s.cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.ended <- s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // most have ended
		<-ended
	})
	require.Eventually(t, func() bool {
		res, err := http.Get("http://" + s.chat + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, 15*time.Second, 20*time.Millisecond)
	return s
}

// makesLines makes the process log several times what a pipe holds.
func (s *serving) makesLines(t *testing.T) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	bad, err := http.NewRequest(http.MethodGet, "http://"+s.lobby+"/users", nil)
	require.NoError(t, err)
	bad.Header.Set("Authorization", "Bearer nobody")
	for range 3000 {
		res, err := client.Do(bad)
		require.NoError(t, err)
		_ = res.Body.Close()
		require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	}
}

// endsWell wants the orderly end: a socket's close frame with 1001, and exit code 0.
func (s *serving) endsWell(t *testing.T) {
	t.Helper()
	socket := dialSocket(t, s.chat, chatPath)
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, websocket.StatusGoingAway, closeCode(t, socket))
	select {
	case err := <-s.ended:
		require.NoError(t, err, "the exit code")
	case <-time.After(10 * time.Second):
		t.Fatal("still running 10 s after the signal")
	}
}

func TestLogReaders(t *testing.T) {
	dir := buildCommands(t)
	env := []string{"LOG_LEVEL=debug", "AGENT_SECRET=" + testSecret}
	t.Run("one that stands still", func(t *testing.T) {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		defer r.Close()
		s := serveTo(t, dir, w, env...)
		require.NoError(t, w.Close())
		s.makesLines(t)
		status, _ := get(t, "http://"+s.chat+"/readyz")
		require.Equal(t, http.StatusOK, status)
		_, metrics := get(t, "http://"+s.lobby+"/metrics")
		require.Contains(t, metrics, "livesupport_log_lines_dropped_total ")
		s.endsWell(t)
	})
	t.Run("one that has gone", func(t *testing.T) {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		s := serveTo(t, dir, w, env...)
		require.NoError(t, w.Close())
		require.NoError(t, r.Close())
		s.makesLines(t)
		_, metrics := get(t, "http://"+s.lobby+"/metrics")
		require.NotContains(t, metrics, "livesupport_log_lines_dropped_total 0\n")
		s.endsWell(t)
	})
	t.Run("a hangup does nothing", func(t *testing.T) {
		p := startProcess(t, filepath.Join(dir, "livesupport"), nil)
		addr, _ := p.logged(t, "chat server listens")["addr"].(string)
		socket := dialSocket(t, addr, chatPath)
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
		for range 3 {
			_, frame, err := socket.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, "ping", string(frame))
		}
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		require.Equal(t, websocket.StatusGoingAway, closeCode(t, socket))
		p.endsWell(t)
	})
}

// TestArchiveIsSilent: nothing of what is archived, or looked for, is in the log or in traces, even
// if all of it is logged, and the database fails.
func TestArchiveIsSilent(t *testing.T) {
	dir := buildCommands(t)
	var mu sync.Mutex
	var traces bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = traces.ReadFrom(r.Body) // what came is enough
	}))
	defer collector.Close()
	file := filepath.Join(t.TempDir(), "archive.db")
	stderr, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer stderr.Close()
	s := serveTo(t, dir, stderr, "DATA_DIR="+t.TempDir(), "ARCHIVE_URL=sqlite:"+file, "CHAT_TTL=1s", "LOG_LEVEL=debug",
		"OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_EXPORTER_OTLP_COMPRESSION=none", "OTEL_BSP_SCHEDULE_DELAY=20", "OTEL_TRACES_SAMPLER=always_on")
	api := "http://" + s.lobby + "/api/v1"
	ids := []string{speaks(t, s.chat, "Canary1", "the canary sings")}
	require.Eventually(t, func() bool {
		_, body := get(t, api+"/chats?query=canary")
		return strings.Contains(body, ids[0])
	}, 15*time.Second, 50*time.Millisecond)
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(`PRAGMA busy_timeout = 5000; CREATE TRIGGER refuse BEFORE INSERT ON chats BEGIN SELECT RAISE(ABORT, 'no canary'); END`)
	require.NoError(t, err)
	ids = append(ids, speaks(t, s.chat, "Canary2", "the canary is refused"))
	logged := func(text string) func() bool {
		return func() bool {
			log, err := os.ReadFile(stderr.Name())
			return err == nil && strings.Contains(string(log), text)
		}
	}
	require.Eventually(t, logged("an ended chat was refused"), 15*time.Second, 50*time.Millisecond)
	for _, path := range []string{"/chats/" + ids[0], "/chats/" + ids[0] + "/transcript", "/stats?agent=canary", "/chats?agent=canary&team=canary&query=canary"} {
		status, body := get(t, api+path)
		require.Equal(t, http.StatusOK, status, body)
	}
	require.NoError(t, os.Rename(file, file+"-away"))
	status, body := get(t, api+"/chats?query=canary")
	require.Equal(t, http.StatusServiceUnavailable, status, body)
	require.Eventually(t, logged("the archive is unavailable"), 15*time.Second, 50*time.Millisecond)
	s.endsWell(t)

	log, err := os.ReadFile(stderr.Name())
	require.NoError(t, err)
	mu.Lock()
	defer mu.Unlock()
	require.Contains(t, traces.String(), "chat.register", "the collector was told nothing")
	for what, told := range map[string]string{"the log": string(log), "the collector": traces.String()} {
		for _, secret := range append(ids, "canary") {
			require.NotContains(t, strings.ToLower(told), secret, what)
		}
	}
}
