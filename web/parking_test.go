package web

import (
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// A way is how a hub has its sockets wait.
type way struct {
	name      string
	parkAfter int
}

// inEachWay runs a test with a goroutine for each socket, and with sockets that are
// parked whenever there is nothing to read.
func inEachWay(t *testing.T, test func(*testing.T, way)) {
	for _, w := range []way{{"a goroutine each", -1}, {"parked", 1}} {
		t.Run(w.name, func(t *testing.T) { test(t, w) })
	}
}

func (w way) hub(t *testing.T, interval, idle time.Duration, limit int) *hub {
	h := newHub(interval, idle, limit, 0, w.parkAfter)
	if h.parking != nil {
		h.parkAfter = 0 // whatever the last frame was
	}
	return ended(t, h)
}

// connection is one that is parked already, if that is the way.
func (w way) connection(t *testing.T, h *hub) (*net.TCPConn, *Socket, *echo) {
	t.Helper()
	client, s, e := connection(t, h)
	if h.parking != nil {
		write(t, client, masked(ws.NewTextFrame([]byte("pong:user"))))
		if f := read(t, client); string(f.Payload) != "ping" {
			t.Fatalf("got %q", f.Payload)
		}
		if f := read(t, client); string(f.Payload) != "pong:user" { // an echo
			t.Fatalf("got %q", f.Payload)
		}
		s.awaitParked(t)
	}
	return client, s, e
}

func (s *Socket) isParked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parked
}

func (s *Socket) awaitParked(t *testing.T) {
	t.Helper()
	for begun := time.Now(); !s.isParked(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the socket is not parked")
		}
	}
}

func write(t *testing.T, client net.Conn, b []byte) {
	t.Helper()
	if _, err := client.Write(b); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, client net.Conn) ws.Frame {
	t.Helper()
	f, err := ws.ReadFrame(client)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
