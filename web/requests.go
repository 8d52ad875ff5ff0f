package web

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// requestGrace is how long requests may still take when the server ends.
const requestGrace = 500 * time.Millisecond

// requests are the connections of a server that are no sockets. fasthttp waits
// for them when it ends, for seconds if a browser has opened one in advance or a
// client sends its request slowly: here they can be cut.
type requests struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// note is fasthttp's hook for a connection's states.
func (r *requests) note(conn net.Conn, state fasthttp.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch state {
	case fasthttp.StateNew:
		r.open[conn] = struct{}{}
	case fasthttp.StateHijacked, fasthttp.StateClosed:
		delete(r.open, conn)
	}
}

// cut ends reading and writing on the connections, and returns when fasthttp has
// let go of them or ctx ends.
func (r *requests) cut(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		r.mu.Lock()
		left := len(r.open)
		for conn := range r.open {
			// Closed while a handler is at work, it would make fasthttp panic.
			conn.SetDeadline(time.Unix(1, 0))
		}
		r.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
