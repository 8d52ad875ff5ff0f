//go:build unix

package web

import (
	"syscall"
)

// writeAttempt is one try to write without waiting. A Socket keeps it from one write to the
// next, so that these allocate nothing.
type writeAttempt struct {
	out []byte
	err error
	try func(fd uintptr) bool
}

// write hands as much of out to the system as it takes at once and returns the
// rest. Only one caller at a time.
func (w *writeAttempt) write(raw syscall.RawConn, out []byte) (rest []byte, err error) {
	if raw == nil {
		return out, nil
	}
	if w.try == nil {
		w.try = w.once
	}
	w.out, w.err = out, nil
	if err := raw.Write(w.try); err != nil {
		return nil, err
	}
	rest, w.out = w.out, nil
	return rest, w.err
}

func (w *writeAttempt) once(fd uintptr) bool {
	for len(w.out) > 0 {
		n, err := syscall.Write(int(fd), w.out)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			w.err = err
			return true
		}
		w.out = w.out[n:]
	}
	return true
}

func rawConn(conn conn) syscall.RawConn {
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
