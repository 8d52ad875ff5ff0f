package web

import (
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"

	"livesupport/broker/rawio"
)

// TestConnectionsInherit: connections have their options from the listener, also where Go is told
// to set none.
func TestConnectionsInherit(t *testing.T) {
	config := net.ListenConfig{KeepAlive: -1}
	tcp, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(tcp, slog.New(slog.DiscardHandler))
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*rawio.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, option := range map[string]struct{ level, name, want int }{
		"SO_SNDBUF":     {syscall.SOL_SOCKET, syscall.SO_SNDBUF, 2 * sendBuffer}, // Linux doubles it
		"SO_KEEPALIVE":  {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		"TCP_KEEPIDLE":  {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(keepAlive.Idle / time.Second)},
		"TCP_KEEPINTVL": {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(keepAlive.Interval / time.Second)},
		"TCP_KEEPCNT":   {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepAlive.Count},
		"TCP_NODELAY":   {syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
	} {
		var got int
		var failure error
		if err := raw.Control(func(fd uintptr) { got, failure = syscall.GetsockoptInt(int(fd), option.level, option.name) }); err != nil || failure != nil {
			t.Fatal(name, err, failure)
		}
		if got != option.want {
			t.Errorf("%s: %d, want %d", name, got, option.want)
		}
	}
}
