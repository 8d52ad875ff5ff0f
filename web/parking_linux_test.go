package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"livesupport/lobby/wire"

	"github.com/gobwas/ws"
)

// TestPongsKeepASocketParked: pongs are noted where they are found, in pieces of any
// size; the session hears of everything else.
func TestPongsKeepASocketParked(t *testing.T) {
	h := newTestHub(t, time.Hour, time.Hour)
	client, s, _ := connection(t, h)
	pong := func(word string) []byte { return masked(ws.NewTextFrame([]byte(word))) }
	for range 2 { // echo answers them until it is parked
		write(t, client, pong("pong:user"))
	}
	s.awaitParked(t)
	for range 3 {
		read(t, client)
	}
	for _, b := range [][]byte{pong("pong:support"), bytes.Repeat(pong("pong:user"), 7)} {
		before := s.heard.Load()
		write(t, client, b)
		for begun := time.Now(); s.heard.Load() == before; time.Sleep(time.Millisecond) {
			if time.Since(begun) > 10*time.Second {
				t.Fatal("the pong is not noted")
			}
		}
		if !s.isParked() {
			t.Fatal("a pong has woken the socket")
		}
	}
	s.Queue(pingFrame)
	s.Flush()
	if f := read(t, client); string(f.Payload) != "ping" || !s.isParked() {
		t.Fatalf("got %q; parked: %v", f.Payload, s.isParked())
	}
	for _, b := range [][]byte{
		masked(ws.NewTextFrame([]byte("pong:users"))), masked(ws.NewTextFrame([]byte("pong:usex"))),
		masked(ws.NewBinaryFrame([]byte("pong:user"))), masked(ws.NewTextFrame(nil)), append(pong("pong:user"), masked(ws.NewTextFrame([]byte("x")))...),
	} {
		s.awaitParked(t)
		write(t, client, b)
		read(t, client)
		if s.isParked() {
			t.Fatalf("%q has not woken the socket", b)
		}
		for range 2 {
			write(t, client, pong("pong:user"))
			read(t, client)
		}
	}
	if n := h.parked.Load(); n != 1 {
		t.Errorf("%d sockets count as parked", n)
	}
}

// TestParkedSocketReceives: a message that the session handles at once does not wake its socket. A
// second one right behind it does, so that one client cannot keep the others waiting.
func TestParkedSocketReceives(t *testing.T) {
	w := way{"parked", 1}
	client, s, _ := w.connection(t, w.hub(t, time.Hour, time.Hour, 10))
	text := func(text string) []byte { return masked(ws.NewTextFrame([]byte(text))) }
	for _, long := range []int{1, 125, 126, 2000} {
		want := strings.Repeat("1", long)
		write(t, client, append(text("pong:user"), text(want)...))
		if f := read(t, client); string(f.Payload) != want || !s.isParked() {
			t.Fatalf("got %q; parked: %v", f.Payload, s.isParked())
		}
	}
	write(t, client, slices.Concat(text("1"), text("3"), text("2"), text("5")))
	for _, want := range []string{"1", "3", "2", "5"} {
		if f := read(t, client); string(f.Payload) != want {
			t.Fatalf("got %q, want %q", f.Payload, want)
		}
	}
	s.awaitParked(t)
}

// TestWokenWhileReceiving: a parked socket is woken while its session receives a message. It goes
// on with the next message, or with this one if the session did not handle it.
func TestWokenWhileReceiving(t *testing.T) {
	text := func(text string) []byte { return masked(ws.NewTextFrame([]byte(text))) }
	for _, received := range []bool{true, false} {
		t.Run(fmt.Sprint("received ", received), func(t *testing.T) {
			w := way{"parked", 1}
			client, s, e := w.connection(t, w.hub(t, time.Hour, time.Hour, 10))
			s.mu.Lock()
			e.now = func(text []byte) bool {
				woken := make(chan struct{})
				go func() { // as whoever writes more than the system takes
					s.mu.Lock()
					s.wake()
					s.mu.Unlock()
					close(woken)
				}()
				<-woken
				e.now = func([]byte) bool { return false }
				return received
			}
			s.mu.Unlock()
			write(t, client, slices.Concat(text("a"), text("b"), text("c")))
			answers := []string{"a", "b", "c"}
			if received { // by a session that does not answer
				answers = answers[1:]
			}
			for _, want := range answers {
				if f := read(t, client); string(f.Payload) != want {
					t.Fatalf("got %q, want %q", f.Payload, want)
				}
			}
			s.awaitParked(t)
		})
		t.Run(fmt.Sprint("closed, received ", received), func(t *testing.T) {
			w := way{"parked", 1}
			client, s, e := w.connection(t, w.hub(t, time.Hour, time.Hour, 10))
			s.mu.Lock()
			e.now = func([]byte) bool { s.Close(wire.CloseNormal, ""); return received }
			s.mu.Unlock()
			write(t, client, slices.Concat(text("a"), text("b")))
			if f := read(t, client); f.Header.OpCode != ws.OpClose {
				t.Fatalf("got %q", f.Payload)
			}
			write(t, client, masked(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
			<-e.closed
		})
	}
}

// TestParkedFrames: the session gets the same frames, in whatever pieces they come to a socket that
// is parked whenever there is nothing to read.
func TestParkedFrames(t *testing.T) {
	w := way{"parked", 1}
	h := w.hub(t, time.Hour, time.Hour, 10)
	h.flow = newFlow(0, 0)
	client, s, e := w.connection(t, h)
	random := rand.New(rand.NewPCG(1, 2))
	var want [][]byte
	var all []byte
	for i := range 300 {
		text := bytes.Repeat([]byte{byte('a' + i%26)}, random.IntN(2)*random.IntN(20_000)+random.IntN(20))
		switch random.IntN(4) {
		case 0:
			half := len(text) / 2
			all = append(all, masked(ws.NewFrame(ws.OpText, false, text[:half]))...)
			all = append(all, masked(ws.NewPongFrame(nil))...)
			all = append(all, masked(ws.NewFrame(ws.OpContinuation, true, text[half:]))...)
		default:
			all = append(all, masked(ws.NewTextFrame(text))...)
		}
		want = append(want, text)
	}
	go func() {
		for len(all) > 0 {
			n := min(len(all), 1+random.IntN(1+random.IntN(30_000)))
			if _, err := client.Write(all[:n]); err != nil {
				return
			}
			if all = all[n:]; random.IntN(4) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for i, text := range want {
		if f := read(t, client); !bytes.Equal(f.Payload, text) {
			t.Fatalf("message %d: got %.20q, want %.20q", i, f.Payload, text)
		}
	}
	s.awaitParked(t)
	write(t, client, masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
	if f := read(t, client); f.Header.OpCode != ws.OpClose {
		t.Fatalf("got %v", f.Header.OpCode)
	}
	<-e.closed
}

// TestParkedSocketEnds: whoever ends the socket, and however, the session is told.
func TestParkedSocketEnds(t *testing.T) {
	pong := masked(ws.NewTextFrame([]byte("pong:user")))
	for name, end := range map[string]func(*net.TCPConn, *Socket){
		"the client is gone":                  func(c *net.TCPConn, _ *Socket) { c.Close() },
		"the client writes no more":           func(c *net.TCPConn, _ *Socket) { c.CloseWrite() },
		"the client is gone behind its pong":  func(c *net.TCPConn, _ *Socket) { c.Write(pong); c.Close() },
		"the client has reset":                func(c *net.TCPConn, _ *Socket) { c.SetLinger(0); c.Close() },
		"a frame is wrong":                    func(c *net.TCPConn, _ *Socket) { c.Write([]byte{0xff, 0x80, 0, 0, 0, 0}); io.Copy(io.Discard, c) },
		"the server closes":                   func(c *net.TCPConn, s *Socket) { s.Close(wire.CloseNormal, ""); io.Copy(io.Discard, c) },
		"the server's write fails":            func(_ *net.TCPConn, s *Socket) { s.mu.Lock(); s.fail(); s.mu.Unlock() },
		"the server closes, and nobody reads": func(_ *net.TCPConn, s *Socket) { s.Close(wire.CloseNormal, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := way{"parked", 1}
			client, s, e := w.connection(t, w.hub(t, time.Hour, time.Hour, 10))
			end(client, s)
			select {
			case <-e.closed:
			case <-time.After(10 * time.Second):
				t.Fatal("the session goes on")
			}
		})
	}
}

// TestParkingStorm: sockets come, go, sleep and wake on few descriptors, which are used again at
// once. Nobody gets what belongs to another socket.
func TestParkingStorm(t *testing.T) {
	w := way{"parked", 1}
	h := w.hub(t, 2*time.Millisecond, time.Hour, 1000)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var clients sync.WaitGroup
	var accepting sync.Mutex
	var parked atomic.Int64
	for n := range 16 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 3))
			for round := range 60 {
				accepting.Lock()
				client, s, _ := connection(t, h)
				accepting.Unlock()
				for i := range random.IntN(6) {
					text := fmt.Sprintf("%d/%d/%d", n, round, i)
					if random.IntN(2) == 0 {
						for tries := 0; tries < 10 && !s.isParked(); tries++ {
							time.Sleep(time.Millisecond)
						}
					}
					if s.isParked() {
						parked.Add(1)
					}
					if _, err := client.Write(masked(ws.NewTextFrame([]byte(text)))); err != nil {
						t.Error(err)
						return
					}
					for {
						f, err := ws.ReadFrame(client)
						if err != nil {
							t.Error(err)
							return
						}
						if string(f.Payload) == text {
							break
						}
						if string(f.Payload) != "ping" {
							t.Errorf("got %q instead of %q", f.Payload, text)
							return
						}
					}
				}
				if random.IntN(3) == 0 {
					s.Close(wire.CloseNormal, "")
				}
				if random.IntN(3) == 0 {
					client.SetLinger(0)
				}
				client.Close()
			}
		})
	}
	clients.Wait()
	if parked.Load() < 100 {
		t.Errorf("only %d messages have found their socket parked", parked.Load())
	}
}

// TestParkingIsFull: a socket for which there is no place keeps its goroutine and its connection.
func TestParkingIsFull(t *testing.T) {
	w := way{"parked", 1}
	h := w.hub(t, time.Hour, time.Hour, 10)
	h.parking.shelves = h.parking.shelves[:0]
	client, s, e := connection(t, h)
	for range 3 {
		write(t, client, masked(ws.NewTextFrame([]byte("x"))))
		for f := read(t, client); string(f.Payload) != "x"; f = read(t, client) {
		}
	}
	if s.isParked() {
		t.Error("parked")
	}
	client.Close()
	<-e.closed
}

// TestRemoteAddr: the log knows where a socket comes from also after it was parked.
func TestRemoteAddr(t *testing.T) {
	w := way{"parked", 1}
	client, s, _ := w.connection(t, w.hub(t, time.Hour, time.Hour, 10))
	s.mu.Lock()
	s.wake()
	got := remoteAddr(s.conn)
	s.mu.Unlock()
	if got == nil || got.String() != client.LocalAddr().String() {
		t.Errorf("got %v, want %v", got, client.LocalAddr())
	}
}

// TestWriteNow: what the system does not take is kept.
func TestWriteNow(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 1<<20)
	rest, err := writeNow(int32(fds[0]), out)
	if err != nil || len(rest) == 0 || len(rest) == len(out) {
		t.Errorf("%d of %d bytes stay, %v", len(rest), len(out), err)
	}
	syscall.Close(fds[1])
	if _, err := writeNow(int32(fds[0]), rest); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("after the end: %v", err)
	}
	syscall.Close(fds[0])
}
