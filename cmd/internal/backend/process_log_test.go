//go:build unix

package backend

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
