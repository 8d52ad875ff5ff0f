package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"livesupport/lobby/wire"

	"github.com/gobwas/ws"
)

// trickle is a connection from which reads return at most step bytes.
type trickle struct {
	net.Conn
	data []byte
	step int
}

func (c *trickle) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.data[:min(c.step, len(c.data))])
	c.data = c.data[n:]
	return n, nil
}

func noClock() int64 { return 0 }

func masked(f ws.Frame) []byte {
	return ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewFrame(f.Header.OpCode, f.Header.Fin, bytes.Clone(f.Payload))))
}

func TestFrameReader(t *testing.T) {
	big := strings.Repeat("x", maxMessage)
	var stream []byte
	sizes := []int{0, 1, 125, 126, 127, 500, 512, 513, 65535, 65536}
	for _, n := range sizes {
		stream = append(stream, masked(ws.NewTextFrame([]byte(big[:n])))...)
	}
	for _, step := range []int{1, 7, 512, 100000} {
		r := &frameReader{conn: &trickle{data: stream, step: step}, heard: noClock, clock: noClock}
		for _, n := range sizes {
			op, _, payload, err := r.next()
			if err != nil || op != ws.OpText || string(payload) != big[:n] {
				t.Fatalf("step %d, size %d: %v, %d bytes, %v", step, n, op, len(payload), err)
			}
		}
		if _, _, _, err := r.next(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
		if cap(r.buf) > smallBuffer {
			t.Errorf("step %d: an idle socket keeps %d bytes", step, cap(r.buf))
		}
	}
}

func TestFrameReaderRefuses(t *testing.T) {
	rsv := masked(ws.NewTextFrame([]byte("x")))
	rsv[0] |= 0x40
	reserved := masked(ws.NewFrame(3, true, []byte("x")))
	tooBig := masked(ws.NewTextFrame(make([]byte, maxMessage+1)))
	msb := []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for name, test := range map[string]struct {
		data []byte
		code int
	}{
		"not masked":             {ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))), wire.CloseProtocol},
		"reserved bit":           {rsv, wire.CloseProtocol},
		"reserved opcode":        {reserved, wire.CloseProtocol},
		"long control frame":     {masked(ws.NewPingFrame(make([]byte, 126))), wire.CloseProtocol},
		"fragmented control":     {masked(ws.NewFrame(ws.OpPing, false, nil)), wire.CloseProtocol},
		"continuation of what":   {masked(ws.NewFrame(ws.OpContinuation, true, nil)), wire.CloseProtocol},
		"new one in a fragment":  {append(masked(ws.NewFrame(ws.OpText, false, nil)), masked(ws.NewTextFrame(nil))...), wire.CloseProtocol},
		"length with a sign":     {msb, wire.CloseProtocol},
		"more than a message is": {tooBig, wire.CloseTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			r := &frameReader{conn: &trickle{data: test.data, step: 100000}, heard: noClock, clock: noClock}
			var err error
			for err == nil {
				_, _, _, err = r.next()
			}
			var v *violation
			if !errors.As(err, &v) || v.code != test.code {
				t.Errorf("got %v, want close %d", err, test.code)
			}
		})
	}
}

func TestFrameSizes(t *testing.T) {
	for _, n := range []int{0, 125, 126, 65535, 65536, 70000} {
		want := ws.MustCompileFrame(ws.NewTextFrame(make([]byte, n)))
		if got := TextFrame(make([]byte, n)); !bytes.Equal(got, want) {
			t.Errorf("a frame of %d bytes: %x", n, got[:12])
		}
	}
}

// FuzzFrames reads any bytes in pieces of any size: never a panic, never more
// than a message may have, and the same frames whatever the pieces.
func FuzzFrames(f *testing.F) {
	f.Add(masked(ws.NewTextFrame([]byte(`{"type":"Load"}`))), 3)
	f.Add(append(masked(ws.NewFrame(ws.OpText, false, []byte("a"))), masked(ws.NewFrame(ws.OpContinuation, true, []byte("b")))...), 1)
	f.Add(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye"))), 100)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		read := func(step int) (out []string) {
			r := &frameReader{conn: &trickle{data: bytes.Clone(data), step: step}, heard: noClock, clock: noClock}
			for {
				op, _, payload, err := r.next()
				if err != nil {
					return out
				}
				if len(payload) > maxMessage {
					t.Fatal("too long a payload")
				}
				if op == ws.OpClose {
					parseClose(payload)
				}
				out = append(out, string(rune(op))+string(payload))
			}
		}
		whole, pieces := read(len(data)+1), read(max(1, min(step, len(data))))
		if strings.Join(whole, "\n") != strings.Join(pieces, "\n") {
			t.Fatalf("%d frames at once, %d in pieces", len(whole), len(pieces))
		}
	})
}

// echo is a session that sends back what it gets, some of it at once.
type echo struct {
	peer   wire.Peer
	closed chan struct{}
	now    func(text []byte) bool // instead of ReceiveNow, if not nil
}

func (e *echo) Receive(text []byte, _ time.Time) (light bool) {
	if e.now != nil && e.now(text) {
		return true
	}
	e.peer.Queue(TextFrame(bytes.Clone(text)))
	e.peer.Flush()
	return wire.IsPong(text) || e.now == nil && isLight(text)
}

// isLight makes half of the texts such as are handled at once.
func isLight(text []byte) bool {
	return len(text) > 0 && strings.ContainsRune("bdfhjlrtvz13579", rune(text[0]))
}

func (e *echo) ReceiveNow(text []byte) bool {
	switch {
	case e.now != nil:
		return e.now(text)
	case !isLight(text):
		return false
	}
	e.Receive(text, time.Time{})
	return true
}
func (e *echo) Overdue(time.Time) bool { return false }
func (e *echo) Closed()                { close(e.closed) }
func (e *echo) LogValue() slog.Value   { return slog.StringValue("echo") }

// connect returns both ends of a TCP connection. They are closed when the test ends.
func connect(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return client, server
}

// connection opens a socket on a hub and returns the client's side.
func connection(t *testing.T, h *hub) (*net.TCPConn, *Socket, *echo) {
	t.Helper()
	client, server := connect(t)
	var s *Socket
	e := &echo{closed: make(chan struct{})}
	h.open(upgraded{conn: server}, func(peer wire.Peer) session {
		s, e.peer = peer.(*Socket), peer
		return e
	})
	client.SetDeadline(time.Now().Add(20 * time.Second))
	return client.(*net.TCPConn), s, e
}

func newTestHub(t *testing.T, interval, idle time.Duration) *hub {
	return ended(t, newHub(interval, idle, 1000, 0, 0))
}

// ended ends a hub with the test.
func ended(t *testing.T, h *hub) *hub {
	t.Cleanup(func() {
		ctx, cancel := contextWithTimeout()
		defer cancel()
		h.shutdown(ctx)
	})
	return h
}

// TestSlowClient: frames wait for a client that does not read, up to the bound. Then the client is
// closed with 1013, at the end of a frame, and nobody else is held up.
func TestSlowClient(t *testing.T) {
	inEachWay(t, testSlowClient)
}

func testSlowClient(t *testing.T, way way) {
	h := way.hub(t, time.Hour, time.Hour, 10)
	client, s, e := way.connection(t, h)
	piece := TextFrame(bytes.Repeat([]byte("x"), 32<<10))
	queued := 0
	for ; !s.isClosing(); queued++ {
		s.Queue(piece)
		s.Flush()
		if queued > 10_000 {
			t.Fatal("no bound")
		}
	}
	if queued < queueBound {
		t.Errorf("closed after %d pieces", queued)
	}
	got := 0
	for {
		f, err := ws.ReadFrame(client)
		if err != nil {
			t.Fatalf("after %d frames: %v", got, err)
		}
		if f.Header.OpCode == ws.OpClose {
			if code, _ := ws.ParseCloseFrameData(f.Payload); code != wire.CloseTryLater {
				t.Errorf("closed with %d", code)
			}
			break
		}
		got++
	}
	if got >= queued {
		t.Errorf("got %d of %d pieces: nothing was dropped", got, queued)
	}
	client.Close()
	<-e.closed
}

// TestManyPiecesAtOnce: a client that reads gets any number of pieces.
func TestManyPiecesAtOnce(t *testing.T) {
	inEachWay(t, testManyPiecesAtOnce)
}

func testManyPiecesAtOnce(t *testing.T, way way) {
	h := way.hub(t, time.Hour, time.Hour, 10)
	client, s, _ := way.connection(t, h)
	const pieces = 50_000
	go func() {
		for range pieces {
			s.Queue(TextFrame([]byte("x")))
		}
		s.Flush()
	}()
	r := &frameReader{conn: client, heard: noClock, clock: noClock}
	var size int
	buf := make([]byte, 64<<10)
	for size < pieces*3 {
		n, err := r.conn.Read(buf)
		if err != nil {
			t.Fatalf("after %d bytes: %v", size, err)
		}
		size += n
	}
}

func contextWithTimeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 5*time.Second)
}
