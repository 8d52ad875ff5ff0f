package web

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// requestGrace is how long requests may take to finish when the server shuts down.
const requestGrace = 500 * time.Millisecond

// requests tracks the connections of a server that are not sockets, to cut them at a
// shutdown. fasthttp would wait for them, for seconds if a browser has opened one in advance
// or a client sends its request slowly.
type requests struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// note is fasthttp's hook for the states of a connection.
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

// cut ends reading and writing on the connections, and returns when fasthttp has closed
// them or ctx ends.
func (r *requests) cut(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		r.mu.Lock()
		left := len(r.open)
		for conn := range r.open {
			// A deadline, because fasthttp panics if a connection is closed while its handler runs.
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
