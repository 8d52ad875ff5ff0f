//go:build unix

package web

import (
	"syscall"

	"livesupport/broker/rawio"
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
	w.out, w.err = writeNow(int32(fd), w.out)
	return true
}

// writeNow hands as much of out to the system as it takes at once, and returns the rest.
func writeNow(fd int32, out []byte) (rest []byte, err error) { return rawio.Write(uintptr(fd), out) }

func rawConn(conn conn) syscall.RawConn {
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
