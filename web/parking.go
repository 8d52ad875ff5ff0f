package web

import (
	"bytes"
	"net"
	"os"
	"syscall"

	"livesupport/lobby/wire"

	"github.com/gobwas/ws"
)

// park gives a socket from which nothing but pongs and the like comes to the goroutine
// that waits for all of these, and reports whether it has: the caller reads no more. Whoever
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
	s.conn, s.raw, s.queue, s.attempt = nil, nil, nil, nil
	s.parked, s.fd = true, fd
	if s.hub.parking.add(s) != nil {
		s.wake()
	}
	if !s.counted {
		s.counted = true
		s.hub.parked.Add(1)
	}
	return true
}

// wake gives a parked socket a goroutine again, and its connection at once. The caller
// holds mu.
func (s *Socket) wake() {
	if s.parked {
		s.resume(nil)
	}
}

// resume gives a parked socket a goroutine again that goes on from what has been read.
// The caller holds mu.
func (s *Socket) resume(early []byte) {
	file := s.hub.parking.remove(s)
	s.conn, s.raw, s.parked = file, rawConn(file), false
	if !s.lent {
		go s.serve(s.reader(early))
	}
}

// event reads what has come for a parked socket: pongs are noted here, and the session
// may take one message; everything else is for a goroutine of its own, and so is what
// more than bytes there is to be told of. It is a hint: the socket may have been woken.
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
	now, messages := s.noteHeard(), 0
	for rest := buf[:n]; len(rest) > 0; {
		before := s.used
		size, text, mask := leadingText(rest)
		taken := size > 0 && s.hub.flow.allows(&s.used, len(text), now)
		if taken && !wire.IsPong(text) {
			messages++ // of which one client may not make the others wait
			taken = messages == 1 && s.lend(text)
		}
		if taken {
			rest = rest[size:]
		} else { // the goroutine looks at it once more
			ws.Cipher(text, mask, 0)
			s.used = before
		}
		switch {
		case !s.parked: // woken while the session was receiving
			go s.serve(s.reader(bytes.Clone(rest)))
			return
		case !taken:
			s.resume(bytes.Clone(rest))
			return
		}
	}
}

// lend lets the session receive a message of a parked socket, and reports whether it has.
// Meanwhile nobody else reads, though the caller's lock is free: those who send to this
// socket hold the session's locks when they take it.
func (s *Socket) lend(text []byte) bool {
	s.lent = true
	s.mu.Unlock()
	received := s.session.ReceiveNow(text)
	s.mu.Lock()
	s.lent = false
	return received
}

// leadingText returns the size of the frame at the start of b, and its payload, unmasked
// where it is, if it is a whole message of text; 0 if not.
func leadingText(b []byte) (size int, text []byte, mask [4]byte) {
	h, header, err := parseHeader(b)
	if err != nil || header == 0 || !h.Fin || h.Rsv != 0 || h.OpCode != ws.OpText || !h.Masked || h.Length > int64(len(b)-header) {
		return 0, nil, mask
	}
	size = header + int(h.Length)
	text = b[header:size]
	ws.Cipher(text, h.Mask, 0)
	return size, text, h.Mask
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
