package web

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"livesupport/lobby/wire"

	"github.com/gobwas/ws"
)

// overdue is a session that should have joined long ago.
type overdue struct{ echo }

func (*overdue) Overdue(time.Time) bool { return true }

// closeCode reads until the close frame, and counts the pings before it.
func closeCode(t *testing.T, client net.Conn) (code ws.StatusCode, pings int) {
	t.Helper()
	for {
		f, err := ws.ReadFrame(client)
		if err != nil {
			t.Fatalf("after %d pings: %v", pings, err)
		}
		switch {
		case f.Header.OpCode == ws.OpClose:
			code, _ = ws.ParseCloseFrameData(f.Payload)
			return code, pings
		case string(f.Payload) == "ping":
			pings++
		default:
			t.Fatalf("got %q", f.Payload)
		}
	}
}

func TestIdleSocketIsClosed(t *testing.T) {
	h := newTestHub(t, 20*time.Millisecond, 200*time.Millisecond)
	client, _, e := connection(t, h)
	start := time.Now()
	code, pings := closeCode(t, client)
	if took := time.Since(start); code != wire.CloseNormal || pings < 2 || took < 200*time.Millisecond {
		t.Errorf("close %d after %d pings and %v", code, pings, took)
	}
	client.Close()
	<-e.closed
}

// TestAnyLifeKeepsASocket: not only pongs count, and a socket that lives for
// many times the idle time is not cut.
func TestAnyLifeKeepsASocket(t *testing.T) {
	const idle = 300 * time.Millisecond
	h := newTestHub(t, 10*time.Millisecond, idle)
	client, _, _ := connection(t, h)
	start := time.Now()
	for time.Since(start) < 4*idle {
		f, err := ws.ReadFrame(client)
		if err != nil || f.Header.OpCode == ws.OpClose {
			t.Fatalf("after %v: %v %q %v", time.Since(start), f.Header.OpCode, f.Payload, err)
		}
		if string(f.Payload) == "ping" {
			if _, err := client.Write(masked(ws.NewPongFrame(nil))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSocketThatDoesNotJoinIsClosed(t *testing.T) {
	h := newTestHub(t, 20*time.Millisecond, time.Hour)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	e := &overdue{echo{closed: make(chan struct{})}}
	h.open(server, nil, netip.Addr{}, nil, func(peer wire.Peer) session { e.peer = peer; return e })
	client.SetDeadline(time.Now().Add(10 * time.Second))
	if code, _ := closeCode(t, client); code != wire.ClosePolicy {
		t.Errorf("close %d", code)
	}
	if _, err := client.Write(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1008, "")))); err != nil {
		t.Fatal(err)
	}
	<-e.closed
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the handshake: %d bytes, %v", n, err)
	}
}

// TestMaxSockets: a hub takes as many sockets as it may, and one more when one
// has left.
func TestMaxSockets(t *testing.T) {
	h := newHub(time.Hour, time.Hour, 2, 0)
	first, _, e := connection(t, h)
	connection(t, h)
	for range 3 {
		client, _, over := connection(t, h)
		if code, _ := closeCode(t, client); code != wire.CloseTryLater {
			t.Errorf("close %d", code)
		}
		<-over.closed
	}
	if !h.full() {
		t.Error("not full")
	}
	first.Close()
	<-e.closed
	if _, s, _ := connection(t, h); s.isClosing() {
		t.Error("no socket is taken though there is room")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.shutdown(ctx)
}

// TestShutdown: every socket gets 1001, and one whose client does not answer
// cannot hold it up.
func TestShutdown(t *testing.T) {
	h := newHub(time.Hour, time.Hour, 10, 0)
	polite, _, e1 := connection(t, h)
	stubborn, _, e2 := connection(t, h)
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ended <- h.shutdown(ctx)
	}()
	for _, c := range []net.Conn{polite, stubborn} {
		if code, _ := closeCode(t, c); code != wire.CloseAway {
			t.Errorf("close %d", code)
		}
	}
	if _, err := polite.Write(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "")))); err != nil {
		t.Fatal(err)
	}
	<-e1.closed
	<-e2.closed
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestShutdownIsSpread: sockets are closed one after the other, and those whose
// turn has not come are served until then.
func TestShutdownIsSpread(t *testing.T) {
	h := newHub(20*time.Millisecond, time.Hour, 10, 0)
	h.spread = 400 * time.Millisecond
	var clients []net.Conn
	for range 4 {
		client, _, _ := connection(t, h)
		clients = append(clients, client)
	}
	begun := time.Now()
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := contextWithTimeout()
		defer cancel()
		ended <- h.shutdown(ctx)
	}()
	type end struct {
		code  ws.StatusCode
		pings int
		after time.Duration
	}
	ends := make(chan end, len(clients))
	for _, c := range clients {
		go func() {
			var e end
			for e.code == 0 {
				f, err := ws.ReadFrame(c)
				if err != nil {
					break
				}
				if f.Header.OpCode == ws.OpClose {
					e.code, _ = ws.ParseCloseFrameData(f.Payload)
				} else {
					e.pings++
				}
			}
			e.after = time.Since(begun)
			c.Close()
			ends <- e
		}()
	}
	var last end
	for i := range clients {
		last = <-ends
		if earliest := h.spread * time.Duration(i) / 4; last.code != wire.CloseAway || last.after < earliest-5*time.Millisecond {
			t.Errorf("end %d: %+v; want 1001 not before %v", i, last, earliest)
		}
	}
	if last.pings < 5 {
		t.Errorf("the last one got %d pings", last.pings)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
