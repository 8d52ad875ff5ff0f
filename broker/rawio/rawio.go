// Package rawio reads from TCP connections and writes to them without telling Go's scheduler.
//
// A scheduler that is told of a system call may hand the processor to another thread while the
// call lasts. To decide that, its monitor wakes up, and looks every 20 microseconds for a
// millisecond. With a system call here and there, as a chat has them, that is a fifth of all CPU
// time. None of these calls waits in the system: connections of package net do not block, and
// callers wait in Go.
//
// On other systems than Linux, the calls are ordinary ones.
package rawio

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// limit is how many bytes are written untold. More may take longer.
const limit = 16 << 10

// Reader reads from one connection at a time. It keeps what a call needs, so that a read
// allocates nothing. Only one caller at a time.
type Reader struct {
	b   []byte
	n   int
	err error
	try func(fd uintptr) bool
}

// Read waits until there is something to read, or the deadline of the connection has come, and
// reads it. Its errors are those of package net, or of the system.
func (r *Reader) Read(raw syscall.RawConn, b []byte) (int, error) {
	if r.try == nil {
		r.try = r.once
	}
	r.b, r.n, r.err = b, 0, nil
	err := raw.Read(r.try)
	r.b = nil
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, os.NewSyscallError("read", r.err)
	case r.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return r.n, nil
}

func (r *Reader) once(fd uintptr) bool {
	for {
		r.n, r.err = read(fd, r.b)
		if r.err != syscall.EINTR {
			return r.err != syscall.EAGAIN
		}
	}
}

// Write hands as much of b to the system as it takes at once, and returns the rest. The
// descriptor must not block.
func Write(fd uintptr, b []byte) (rest []byte, err error) {
	for len(b) > 0 {
		n, err := write(fd, b)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return b, nil
		case err != nil:
			return nil, err
		}
		b = b[n:]
	}
	return nil, nil
}

// Read reads what is there from a descriptor that does not block. 0 is the end of the
// connection.
func Read(fd uintptr, b []byte) (n int, err error) {
	for {
		if n, err = read(fd, b); err != syscall.EINTR {
			return n, err
		}
	}
}

// Conn is a TCP connection that is read and written directly.
type Conn struct {
	*net.TCPConn
	raw syscall.RawConn

	reading  sync.Mutex
	reader   Reader
	detached bool

	writing sync.Mutex
	out     []byte
	err     error
	try     func(fd uintptr) bool
}

// Wrap makes a Conn of a TCP connection, where that is of use, and returns others as they are.
func Wrap(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok || !untold {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	c := &Conn{TCPConn: tcp, raw: raw}
	c.try = c.once
	return c
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.detached {
		return 0, io.EOF
	}
	n, err := c.reader.Read(c.raw, b)
	return n, c.explain("read", err)
}

// Write implements net.Conn. What the system does not take at once waits as usual.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.out, c.err = b, nil
	err := c.raw.Write(c.try)
	rest := c.out
	c.out = nil
	if err == nil {
		err = c.err
	}
	if err != nil {
		return 0, c.explain("write", err)
	}
	n := len(b) - len(rest)
	if len(rest) > 0 {
		more, err := c.TCPConn.Write(rest)
		return n + more, err
	}
	return n, nil
}

func (c *Conn) once(fd uintptr) bool {
	c.out, c.err = Write(fd, c.out)
	return true
}

// Detach returns the connection to go on with. Whoever still reads from c finds its end at once.
func (c *Conn) Detach() *net.TCPConn {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.detached = true
	return c.TCPConn
}

// explain makes an error what package net would make it.
func (c *Conn) explain(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if own := (*net.OpError)(nil); errors.As(err, &own) {
		err = own.Err
	}
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
