package backend

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// testFewFiles: a server whose files are used up keeps its sockets, and takes new
// ones as soon as there are files again.
func testFewFiles(t *testing.T, chatserver, redisURL string) {
	limited := filepath.Join(t.TempDir(), "limited")
	require.NoError(t, os.WriteFile(limited, []byte("#!/bin/sh\nulimit -n 64 && exec "+chatserver+"\n"), 0o700))
	p := startProcess(t, limited, []string{"REDIS_URL=" + redisURL})
	addr, _ := p.logged(t, "chat server listens")["addr"].(string)
	require.EqualValues(t, 48, p.seen["MAX_SOCKETS is more than the limit on open files allows and was lowered: raise ulimit -n, or lower MAX_SOCKETS"]["sockets"])
	socket := dialSocket(t, addr, chatPath)
	var idle []net.Conn
	for range 100 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		idle = append(idle, c)
	}
	p.logged(t, "cannot accept new connections at the moment")
	for range 2 { // heartbeats
		_, frame, err := socket.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, "ping", string(frame))
	}
	for _, c := range idle {
		require.NoError(t, c.Close())
	}
	dialSocket(t, addr, chatPath)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, websocket.StatusGoingAway, closeCode(t, socket))
	p.endsWell(t)
}
