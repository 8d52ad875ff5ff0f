package web

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"livesupport/broker/rawio"
)

const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = 500 * time.Millisecond
)

// sendBuffer is how many bytes the system keeps for a client, about: enough for
// 1 MB/s to a client 100 ms away.
const sendBuffer = 128 << 10

// keepAlive finds out that a client has vanished before the heartbeat begins. It is what Go
// sets for each connection unless its listener says otherwise.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}

// listener keeps accepting after the process has run out of files or memory, which would
// end fasthttp. New connections wait in the system's queue meanwhile. It can be closed
// twice, because Fiber aborts a shutdown if its listener is already closed. Its connections
// have sendBuffer and keepAlive.
type listener struct {
	net.Listener
	log     *slog.Logger
	inherit bool // connections have the listener's options
	once    sync.Once
	closed  chan struct{}
	err     error // of the first Close
}

func newListener(l net.Listener, log *slog.Logger) *listener {
	return &listener{Listener: l, log: log, inherit: inherit(l), closed: make(chan struct{})}
}

// Accept is called by one goroutine.
func (l *listener) Accept() (net.Conn, error) {
	for pause := minAcceptPause; ; pause = min(2*pause, maxAcceptPause) {
		c, err := l.Listener.Accept()
		if err == nil && !l.inherit {
			if tcp, ok := c.(*net.TCPConn); ok {
				tcp.SetWriteBuffer(sendBuffer)
				tcp.SetKeepAliveConfig(keepAlive)
			}
		}
		if err == nil {
			return rawio.Wrap(c), nil
		}
		if !passes(err) {
			return nil, err
		}
		if pause == maxAcceptPause { // a vanished client causes no long pause
			l.log.Warn("cannot accept new connections at the moment", "addr", l.Addr().String(), "error", err)
		}
		select {
		case <-time.After(pause):
		case <-l.closed:
		}
	}
}

// passes reports whether accepting may succeed later.
func passes(err error) bool {
	for _, want := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.err = l.Listener.Close()
	})
	return l.err
}
