package web

import (
	"bytes"
	"net"
	"os"
	"syscall"

	"livesupport/lobby/wire"

	"github.com/gobwas/ws"
)

// park gives a socket from which nothing but pongs comes to the goroutine that waits
// for all of these, and reports whether it has: the caller reads no more. Whoever
// has something to write does so as before.
func (s *Socket) park() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.dead || s.writing || len(s.queue) > 0 {
		return false
	}
	fd, err := duplicate(s.raw)
	if err != nil {
		return false
	}
	s.conn.Close() // the connection lives on under the other descriptor
	s.conn, s.raw, s.queue, s.attempt = nil, nil, nil, writeAttempt{}
	s.parked, s.fd = true, fd
	if s.hub.parking.add(s) != nil {
		s.wake()
	}
	return true
}

// wake gives a parked socket a goroutine again. The caller holds mu.
func (s *Socket) wake() {
	if s.parked {
		s.resume(nil)
	}
}

// resume gives a parked socket a goroutine that goes on from what has been read. The
// caller holds mu.
func (s *Socket) resume(early []byte) {
	file := s.hub.parking.remove(s)
	s.conn, s.raw, s.parked = file, rawConn(file), false
	go s.serve(s.reader(early))
}

// event reads what has come for a parked socket: pongs are noted here; everything else
// is for a goroutine of its own, and so is what more than bytes there is to be told
// of. It is a hint: the socket may have been woken.
func (s *Socket) event(fd int32, bytesOnly bool, buf []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.parked || s.fd != fd {
		return
	}
	n, err := readNow(fd, buf)
	if err == syscall.EAGAIN {
		return
	}
	if n == 0 || n == len(buf) || !bytesOnly {
		s.resume(bytes.Clone(buf[:n])) // which finds out what there is
		return
	}
	now := s.noteHeard()
	for rest := buf[:n]; len(rest) > 0; {
		size, payload := leadingPong(rest)
		if size == 0 || !s.hub.flow.allows(&s.used, payload, now) {
			s.resume(bytes.Clone(rest))
			return
		}
		rest = rest[size:]
	}
}

// leadingPong returns the size of the frame at the start of b and of its payload, if it
// is whole and a pong; 0 if not.
func leadingPong(b []byte) (size, payload int) {
	const header = 6
	var text [len("pong:support")]byte // the longest that wire.IsPong takes
	if len(b) < header || b[0] != 0x81 || b[1]&0x80 == 0 {
		return 0, 0
	}
	payload = int(b[1] & 0x7f)
	size = header + payload
	if payload > len(text) || len(b) < size {
		return 0, 0
	}
	copy(text[:], b[header:size])
	ws.Cipher(text[:payload], [4]byte(b[2:header]), 0)
	if !wire.IsPong(text[:payload]) {
		return 0, 0
	}
	return size, payload
}

// remoteAddr is where a connection comes from, for the log.
func remoteAddr(c conn) net.Addr {
	switch c := c.(type) {
	case net.Conn:
		return c.RemoteAddr()
	case *os.File:
		if other, err := net.FileConn(c); err == nil {
			defer other.Close()
			return other.RemoteAddr()
		}
	}
	return nil
}
