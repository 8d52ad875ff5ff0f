package rawio

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pair returns both ends of a TCP connection, one of them as it is and one as a Conn.
func pair(t *testing.T) (plain *net.TCPConn, wrapped net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client.(*net.TCPConn), Wrap(server)
}

// TestBytes: all bytes come, in order, in both directions, whatever the sizes and however slowly
// they are read.
func TestBytes(t *testing.T) {
	plain, wrapped := pair(t)
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 5<<20)
	random.Read(data)
	for name, way := range map[string]struct{ from, to net.Conn }{"write": {wrapped, plain}, "read": {plain, wrapped}} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			go func() {
				rest := data
				for size := 1; len(rest) > 0; size = (size*3 + 1) % (300 << 10) {
					n := min(size+1, len(rest))
					if m, err := way.from.Write(rest[:n]); err != nil || m != n {
						failed <- errors.Join(err, errors.New("a short write"))
						return
					}
					rest = rest[n:]
				}
				failed <- nil
			}()
			got := make([]byte, 0, len(data))
			buf := make([]byte, 64<<10)
			for len(got) < len(data) {
				n, err := way.to.Read(buf[:min(1+len(got)/16, len(buf))])
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, buf[:n]...)
			}
			if err := <-failed; err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, data) {
				t.Fatal("other bytes have come")
			}
		})
	}
}

// TestErrors: they are those of package net.
func TestErrors(t *testing.T) {
	t.Run("end", func(t *testing.T) {
		plain, wrapped := pair(t)
		plain.CloseWrite()
		if n, err := wrapped.Read(make([]byte, 8)); n != 0 || err != io.EOF {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := wrapped.Read(nil); n != 0 || err != nil {
			t.Errorf("nothing to read into: %d, %v", n, err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		plain, wrapped := pair(t)
		plain.SetLinger(0)
		plain.Close()
		var own *net.OpError
		if _, err := wrapped.Read(make([]byte, 8)); !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &own) || own.Op != "read" {
			t.Errorf("read: %v", err)
		}
		if _, err := wrapped.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) || !errors.As(err, &own) || own.Op != "write" {
			t.Errorf("write: %v", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		_, wrapped := pair(t)
		wrapped.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		var timeout net.Error
		if _, err := wrapped.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read: %v", err)
		}
		much := make([]byte, 64<<20) // nobody reads
		wrapped.SetWriteDeadline(time.Now().Add(2 * time.Second))
		n, err := wrapped.Write(much)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n >= 64<<20 {
			t.Errorf("write: %d, %v", n, err)
		}
		wrapped.SetWriteDeadline(time.Unix(1, 0))
		if n, err := wrapped.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a past deadline: %d, %v", n, err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		_, wrapped := pair(t)
		read := make(chan error, 1)
		go func() {
			_, err := wrapped.Read(make([]byte, 8))
			read <- err
		}()
		wrapped.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if _, err := wrapped.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
	})
}

// TestManyWriters: a write stays in one piece beside others, also one that must wait.
func TestManyWriters(t *testing.T) {
	plain, wrapped := pair(t)
	const writers, writes, size = 8, 40, 9000
	var all sync.WaitGroup
	failed := make(chan error, writers)
	for i := range writers {
		all.Go(func() {
			for range writes {
				if _, err := wrapped.Write(bytes.Repeat([]byte{byte('a' + i)}, size)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	counts := map[byte]int{}
	piece := make([]byte, size)
	for range writers * writes {
		if _, err := io.ReadFull(plain, piece); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(piece, bytes.Repeat(piece[:1], size)) {
			t.Fatal("two writes are mixed")
		}
		counts[piece[0]]++
	}
	all.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	for i := range writers {
		if n := counts[byte('a'+i)]; n != writes {
			t.Errorf("%d writes of %c", n, 'a'+i)
		}
	}
}

// TestDetach: whoever reads from the wrapper finds its end at once, and the connection goes on
// without it.
func TestDetach(t *testing.T) {
	plain, wrapped := pair(t)
	c, ok := wrapped.(*Conn)
	if !ok {
		t.Skip("connections are not wrapped here")
	}
	if _, err := plain.Write([]byte("early")); err != nil {
		t.Fatal(err)
	}
	conn := c.Detach()
	var b [16]byte
	if n, err := c.Read(b[:]); n != 0 || err != io.EOF {
		t.Errorf("the wrapper: %d bytes, %v", n, err)
	}
	if n, err := conn.Read(b[:]); err != nil || string(b[:n]) != "early" {
		t.Errorf("the connection: %q, %v", b[:n], err)
	}
	if _, err := conn.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if n, err := plain.Read(b[:]); err != nil || string(b[:n]) != "answer" {
		t.Errorf("the other end: %q, %v", b[:n], err)
	}
}
