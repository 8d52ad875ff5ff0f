package web

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"livesupport/broker/rawio"
	"livesupport/lobby/wire"

	"github.com/gobwas/ws"
)

const (
	// queueBound is how many pieces wait for a client that does not read
	// (web/api/README.md, "Errors and close codes").
	queueBound = 256
	// writeTimeout is how long a client may take to accept writePiece bytes.
	writeTimeout = 20 * time.Second
	writePiece   = 64 << 10
	// closeTimeout is how long a client may take to answer a close frame.
	closeTimeout = 2 * time.Second
	// slowTimeout is that for a client which reads too slowly.
	slowTimeout = 10 * time.Second
	// lingerTimeout is how long the rest of what a client sends is read and
	// dropped, lest a reset destroy the close frame on its way.
	lingerTimeout = time.Second
)

// session is the protocol behind a socket: chat.Session or lobby.Agent.
type session interface {
	// Receive handles a text message; it must not keep the slice. readable is since
	// when the message could have been read: it may have waited for others. light reports
	// that it was of a kind for ReceiveNow, even if that would have had to wait.
	Receive(text []byte, readable time.Time) (light bool)
	// ReceiveNow does what Receive would, if the message is one that is handled in a few
	// microseconds and waits for nothing, neither the store nor other goroutines; or else
	// does nothing and returns false. It must not keep the slice either.
	ReceiveNow(text []byte) bool
	// Overdue reports whether the session should have joined by now.
	Overdue(now time.Time) bool
	// Closed ends the session, after the last Receive.
	Closed()
	// LogValue names the session in the log, without secrets.
	slog.LogValuer
}

// Socket is a WebSocket connection taken over from Fiber. One goroutine reads, or,
// while nothing but pongs comes, one for all sockets that are parked (parking);
// writing is done by whoever has something to write, without blocking, and by a
// goroutine of its own only while the client takes less than it is sent. An idle
// Socket has no timer and no other goroutine.
//
// Queue, Flush, Heartbeat and Close may be called concurrently and never block.
type Socket struct {
	hub     *hub
	session session
	heard   atomic.Int64 // hub.clock at the last read

	// conn and raw change only when the socket is parked or woken, with mu held. The
	// goroutine that reads may use them without it, since it is the one that parks.
	conn conn
	raw  syscall.RawConn // nil where the system offers none

	// Of the goroutine that reads; with mu held, if that is the one for all:
	kind    ws.OpCode // of the message that is being read
	settled bool      // the first request has been handled
	pongs   int32     // and the like, in a row, until now
	used    used

	expires int64        // when the client's token runs out, in Unix seconds; 0 for none
	from    *socketCount // nil unless sockets are counted by address; guarded by the hub's lock

	// In the heartbeat, guarded by the hub's lock:
	due   int64 // the tick of the next ping
	every int32 // ticks from one ping to the next
	index int32 // in its slot

	mu      sync.Mutex
	queue   [][]byte // frames to be written, each piece one or more
	parked  bool     // no goroutine reads; conn and raw are nil
	lent    bool     // the session is receiving from the goroutine for all; who wakes the socket leaves it to that one to begin
	counted bool     // in hub.parked
	writing bool     // somebody writes; the queue is theirs to empty
	closing bool     // a close frame has been queued: nothing more goes out or in
	dead    bool     // writing has failed
	slow    bool     // the client reads too slowly
	fd      int32    // the connection's descriptor while it is parked

	attempt *writeAttempt // nil until the first write, and while it is parked
}

// conn is a connection that is not parked: the net.Conn that Fiber gave away, or an
// os.File for one that was parked since.
type conn interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

var _ wire.Peer = (*Socket)(nil)

// Queue implements wire.Peer.
func (s *Socket) Queue(frames []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.dead {
		return
	}
	if len(s.queue) >= queueBound {
		s.flush() // many pieces at once are not yet a slow client
	}
	if len(s.queue) >= queueBound {
		s.queue = nil
		s.cut()
		s.close(wire.CloseTryLater, "the client reads too slowly", slowTimeout)
		return
	}
	s.queue = append(s.queue, frames)
}

// Flush implements wire.Peer.
func (s *Socket) Flush() {
	s.mu.Lock()
	s.flush()
	s.mu.Unlock()
}

// Close implements wire.Peer.
func (s *Socket) Close(code int, reason string) {
	s.mu.Lock()
	s.close(code, reason, closeTimeout)
	s.mu.Unlock()
}

// Heartbeat implements wire.Peer.
func (s *Socket) Heartbeat(interval time.Duration) { s.hub.choose(s, interval) }

// close begins the closing handshake; the reading goroutine ends it, at the
// latest after timeout. The caller holds mu.
func (s *Socket) close(code int, reason string, timeout time.Duration) {
	if s.closing || s.dead {
		return
	}
	s.closing = true
	s.wake()
	s.queue = append(s.queue, closeFrame(code, reason))
	s.flush()
	s.conn.SetReadDeadline(time.Now().Add(timeout))
}

// flush writes the queue as far as the client takes it without waiting, and
// leaves the rest to a goroutine. The caller holds mu; the system calls do not
// block.
func (s *Socket) flush() {
	if s.writing || len(s.queue) == 0 {
		return
	}
	if s.dead {
		s.queue = nil
		return
	}
	out := s.queue[0]
	if len(s.queue) > 1 {
		out = slices.Concat(s.queue...)
	}
	rest, err := s.write(out)
	if err != nil {
		s.fail()
		return
	}
	s.queue, rest = unwritten(s.queue, len(out)-len(rest))
	if len(rest) > 0 {
		s.wake()
		s.writing = true
		s.hub.ended.Go(func() { s.drain(rest) })
	}
}

// write hands as much of out to the system as it takes at once and returns the rest.
// The caller holds mu.
func (s *Socket) write(out []byte) (rest []byte, err error) {
	if s.parked {
		return writeNow(s.fd, out)
	}
	if s.attempt == nil {
		s.attempt = &writeAttempt{}
	}
	return s.attempt.write(s.raw, out)
}

// unwritten takes away the first n bytes of a queue: the pieces that have been
// written, and the rest of the one that has been begun.
func unwritten(queue [][]byte, n int) (later [][]byte, begun []byte) {
	i := 0
	for i < len(queue) && n >= len(queue[i]) {
		n -= len(queue[i])
		queue[i] = nil
		i++
	}
	if i == len(queue) {
		return queue[:0], nil
	}
	begun = queue[i][n:]
	return queue[i+1:], begun
}

// drain writes to a client that is slower than what it is sent: first the piece
// that has been begun, then what is still queued by then.
func (s *Socket) drain(out []byte) {
	for {
		var err error
		for len(out) > 0 && err == nil {
			n := min(writePiece, len(out))
			s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			_, err = s.conn.Write(out[:n])
			out = out[n:]
		}
		s.mu.Lock()
		if err != nil {
			if !s.closing && errors.Is(err, os.ErrDeadlineExceeded) {
				s.cut()
			}
			s.fail()
		}
		if s.dead || len(s.queue) == 0 {
			s.conn.SetWriteDeadline(time.Time{})
			s.writing = false
			s.queue = nil
			s.mu.Unlock()
			return
		}
		out, s.queue = s.queue[0], s.queue[1:]
		s.mu.Unlock()
	}
}

// cut notes that the client reads too slowly. The caller holds mu.
func (s *Socket) cut() {
	s.slow = true
	s.hub.metrics.slow.Inc()
}

// fail ends a connection that cannot be written to. The caller holds mu.
func (s *Socket) fail() {
	s.dead = true
	s.queue = nil
	s.sever()
}

// sever cuts the connection; the reading goroutine notices. The caller holds mu.
func (s *Socket) sever() {
	s.wake()
	s.conn.Close()
}

func (s *Socket) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing || s.dead
}

// serve reads until the connection ends, and then ends the session.
func (s *Socket) serve(r *frameReader) { s.stop(r, s.read(r)) }

// stop is for the end of reading: to go on in another way, or because of an error.
func (s *Socket) stop(r *frameReader, err error) {
	switch {
	case err == errSettled, err == errQuiet && !s.park():
		// The Join has made the stack grow. A new goroutine starts with a small
		// one, which is enough for a socket that is idle.
		go s.serve(r)
		return
	case err == errQuiet:
		return
	}
	var v *violation
	if errors.As(err, &v) {
		s.Close(v.code, v.reason)
		s.linger(r)
	}
	s.mu.Lock()
	s.dead = true
	slow := s.slow
	s.mu.Unlock()
	if slow {
		s.hub.log.Info("closed a socket: the client reads too slowly", "remote", remoteAddr(s.conn), "session", s.session)
	}
	s.conn.Close()
	s.hub.remove(s)
	s.session.Closed()
	s.hub.ended.Done()
}

// reader begins to read, with what has come already.
func (s *Socket) reader(early []byte) *frameReader {
	heard := s.heard.Load()
	var reader *rawio.Reader
	if s.raw != nil {
		reader = &rawio.Reader{}
	}
	return &frameReader{
		direct: reader,
		conn:   s.conn, buf: early, to: len(early), heard: s.noteHeard, raw: s.raw, clock: s.hub.clock, last: heard, since: heard,
	}
}

// Why serve goes on in another way.
var (
	errSettled = errors.New("the first request has been handled")
	errQuiet   = errors.New("nothing but pongs has come for a while")
)

func (s *Socket) noteHeard() int64 {
	now := s.hub.clock()
	s.heard.Store(now)
	return now
}

// read handles frames until the connection or the closing handshake ends. It is
// where an idle socket's goroutine waits: the frames of the functions from serve
// down to the system must fit into the stack with which a goroutine starts
// (TestIdleSocketIsSmall), so what is rare has functions of its own.
func (s *Socket) read(r *frameReader) error {
	var fragments []byte // of a message that is not complete
	for {
		op, fin, payload, err := r.next()
		if err != nil {
			return err
		}
		if !s.hub.flow.allows(&s.used, len(payload), s.heard.Load()) {
			return s.flooded()
		}
		if op.IsControl() {
			if err := s.control(op, payload); err != nil {
				return err
			}
			if s.quiet(op == ws.OpPong) && r.idle() {
				return errQuiet
			}
			continue
		}
		if op != ws.OpContinuation {
			s.kind = op
		}
		if len(fragments)+len(payload) > maxMessage {
			return errTooBig
		}
		if !fin {
			fragments = append(fragments, payload...)
			continue
		}
		if len(fragments) > 0 {
			payload, fragments = append(fragments, payload...), nil
		}
		first, light := s.take(payload, r.since)
		if first {
			return errSettled
		}
		if s.quiet(light) && r.idle() {
			return errQuiet
		}
	}
}

// quiet notes a frame, and reports whether only pongs and the like have come for so long
// that the socket can be parked.
func (s *Socket) quiet(light bool) bool {
	if s.hub.parking == nil || s.raw == nil {
		return false
	}
	if s.pongs++; !light {
		s.pongs = 0
	}
	if int(s.pongs) < s.hub.parkAfter {
		return false
	}
	s.pongs = 0
	return true
}

// control handles a control frame; io.EOF is the end of the connection.
func (s *Socket) control(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpClose:
		code, err := parseClose(payload)
		if err != nil {
			return &violation{wire.CloseProtocol, err.Error()}
		}
		s.Close(code, "")
		return io.EOF
	case ws.OpPing:
		s.Queue(frame(ws.OpPong, payload))
		s.Flush()
	}
	return nil
}

// take handles a message that could be read since then, by the hub's clock. It reports
// whether it was the first request, or one that parked sockets may send as well.
func (s *Socket) take(payload []byte, since int64) (first, light bool) {
	switch {
	case s.isClosing():
	case s.kind != ws.OpText:
		s.Queue(TextFrame(wire.NewError(wire.BadJSON, "Send JSON in text frames, not binary ones.").Payload("")))
		s.Flush()
	default:
		light = s.session.Receive(payload, s.hub.start.Add(time.Duration(since)))
		first = !light && !s.settled
		s.settled = s.settled || first
	}
	return first, light
}

// linger reads and drops what the client still sends, for a short time.
func (s *Socket) linger(r *frameReader) {
	s.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	if r.skip > 0 && r.skipFrame() == nil {
		for {
			op, _, _, err := r.next()
			if err != nil || op == ws.OpClose {
				return
			}
		}
	}
	for r.fill(smallBuffer) == nil {
		r.from = r.to
	}
}
