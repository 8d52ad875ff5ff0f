package web

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"livesupport/lobby/wire"

	"github.com/gobwas/ws"
)

// benchText is about what a ChatMessage has.
var benchText = []byte(`{"type":"ChatMessage","args":{"content":"` + strings.Repeat("x", 350) + `"}}`)

// endless is a connection from which the same bytes come again and again.
type endless struct {
	net.Conn
	data []byte
	at   int
}

func (c *endless) Read(p []byte) (int, error) {
	n := copy(p, c.data[c.at:])
	c.at = (c.at + n) % len(c.data)
	return n, nil
}

// BenchmarkReadFrame cuts the frame of a message out of what has come, and
// unmasks it.
func BenchmarkReadFrame(b *testing.B) {
	for name, text := range map[string][]byte{"pong": []byte("pong:user"), "message": benchText} {
		b.Run(name, func(b *testing.B) {
			// Each frame comes by itself, as from a person.
			r := &frameReader{conn: &endless{data: masked(ws.NewTextFrame(text))}, heard: noClock, clock: noClock}
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, _, payload, err := r.next(); err != nil || len(payload) != len(text) {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTextFrame(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		TextFrame(benchText)
	}
}

// counter counts the bytes that are written to it.
type counter struct{ n atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// benchSockets opens sockets of a hub over TCP, whose clients count what they
// read and drop it.
func benchSockets(b *testing.B, n int, read *counter) []*Socket {
	b.Helper()
	h := newHub(time.Hour, time.Hour, n, 0, 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var clients []net.Conn
	var readers sync.WaitGroup
	b.Cleanup(func() {
		l.Close()
		for _, c := range clients {
			c.Close()
		}
		readers.Wait()
		ctx, cancel := contextWithTimeout()
		defer cancel()
		h.shutdown(ctx)
	})
	sockets := make([]*Socket, n)
	for i := range sockets {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		clients = append(clients, client)
		readers.Go(func() { io.Copy(read, client) })
		server, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		h.open(upgraded{conn: server}, func(peer wire.Peer) session {
			sockets[i] = peer.(*Socket)
			return &echo{peer: peer, closed: make(chan struct{})}
		})
	}
	return sockets
}

// BenchmarkWrite queues a frame to each of so many sockets and writes it: two are
// a chat, a thousand the agents of a lobby.
func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{1, 2, 1000} {
		b.Run(fmt.Sprintf("sockets=%d", n), func(b *testing.B) {
			var read counter
			sockets := benchSockets(b, n, &read)
			frame := TextFrame(benchText)
			written := func(rounds int) bool { return read.n.Load() >= int64(rounds*n*len(frame)) }
			rounds := 0
			b.ReportAllocs()
			for b.Loop() {
				for _, s := range sockets {
					s.Queue(frame)
					s.Flush()
				}
				if rounds++; rounds%64 == 0 { // what the system keeps for a client is not without end
					b.StopTimer()
					for begin := time.Now(); !written(rounds); time.Sleep(time.Millisecond) {
						if time.Since(begin) > 10*time.Second {
							b.Fatal("the clients do not get what was written")
						}
					}
					b.StartTimer()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*rounds), "ns/socket")
		})
	}
}

// BenchmarkBeat gives each of a thousand sockets its turn, with a ping or without.
func BenchmarkBeat(b *testing.B) {
	for name, heartbeat := range map[string]time.Duration{"ping": time.Second, "look": 30 * time.Second} {
		b.Run(name, func(b *testing.B) {
			const n = 1000
			var read counter
			sockets := benchSockets(b, n, &read)
			h := sockets[0].hub
			h.mu.Lock()
			h.beat = newHeartbeat(heartbeat)
			for _, s := range sockets {
				h.beat.add(s)
			}
			h.mu.Unlock()
			var turns []beatTurn
			pinged := 0
			b.ReportAllocs()
			for b.Loop() {
				for range len(h.beat.slots) {
					h.mu.Lock()
					turns = h.beat.next(turns[:0])
					h.mu.Unlock()
					h.take(turns, time.Now(), h.clock())
					for _, turn := range turns {
						if turn.ping {
							pinged++
						}
					}
				}
				if pinged > 64*n { // what the system keeps for a client is not without end
					b.StopTimer()
					for begin := time.Now(); read.n.Load() < int64(pinged*len(pingFrame)); time.Sleep(time.Millisecond) {
						if time.Since(begin) > 10*time.Second {
							b.Fatal("the clients do not get their pings")
						}
					}
					b.StartTimer()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*b.N), "ns/socket")
		})
	}
}
