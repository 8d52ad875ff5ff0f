package web

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"livesupport/lobby/wire"

	"github.com/gobwas/ws"
)

// beats goes on by so many ticks, and says at which of them each socket is pinged, and
// how often it is looked at.
func beats(b *heartbeat, ticks int64) (pings map[*Socket][]int64, looks map[*Socket]int) {
	pings, looks = map[*Socket][]int64{}, map[*Socket]int{}
	for range ticks {
		for _, turn := range b.next(nil) {
			looks[turn.Socket]++
			if turn.ping {
				pings[turn.Socket] = append(pings[turn.Socket], b.now)
			}
		}
	}
	return pings, looks
}

// TestChosenHeartbeat: a socket is pinged as often as it has chosen, from then on. The others are
// pinged as before, and each socket is checked every second.
func TestChosenHeartbeat(t *testing.T) {
	for _, interval := range []time.Duration{5 * time.Millisecond, 300 * time.Millisecond, time.Second, 1500 * time.Millisecond, 40 * time.Second, 1000 * time.Hour} {
		t.Run(interval.String(), func(t *testing.T) {
			b := newHeartbeat(interval)
			chooser, other := &Socket{}, &Socket{}
			b.add(other)
			pings, _ := beats(&b, 7)
			others := pings[other]
			b.add(chooser)
			watched := int64(65 * time.Second / b.tick)
			for _, chosen := range []time.Duration{time.Second, 30 * time.Second, 2 * time.Second, 0, 7 * time.Second} {
				b.choose(chooser, chosen)
				if chosen == 0 {
					chosen = interval
				}
				from := b.now
				pings, looks := beats(&b, watched)
				others = append(others, pings[other]...)
				if want := time.Duration(watched) * b.tick / chosen; len(pings[chooser]) != int(want) {
					t.Fatalf("chosen %v: %d pings, want %d", chosen, len(pings[chooser]), want)
				}
				for i, at := range pings[chooser] {
					want := time.Duration(i+1) * chosen
					if after := time.Duration(at-from) * b.tick; (after - want).Abs() > time.Duration(i+1)*b.tick/2 {
						t.Fatalf("chosen %v: ping %d came after %v", chosen, i+1, after)
					}
				}
				if looks[chooser] < 64 || looks[other] < 64 {
					t.Fatalf("chosen %v: looked at %d and %d times in 65 s", chosen, looks[chooser], looks[other])
				}
			}
			for i, at := range others {
				if want := int64(i+1) * int64(b.own); at != want {
					t.Fatalf("ping %d of who has chosen nothing came at tick %d, want %d", i+1, at, want)
				}
			}
		})
	}
}

// TestChoosingAgainDelaysNothing: a client that sends the same choice again and again gets the ping
// that is due.
func TestChoosingAgainDelaysNothing(t *testing.T) {
	b := newHeartbeat(time.Second)
	s := &Socket{}
	b.add(s)
	for _, chosen := range []time.Duration{10 * time.Second, 0} {
		b.choose(s, chosen)
		pinged := 0
		for range 2 * int64(s.every) {
			b.choose(s, chosen)
			pings, _ := beats(&b, 1)
			pinged += len(pings[s])
		}
		if pinged != 2 {
			t.Errorf("chosen %v: %d pings, want 2", chosen, pinged)
		}
	}
}

// TestHeartbeatLosesNobody: whatever comes, goes and chooses, each socket that is there
// has its pings.
func TestHeartbeatLosesNobody(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	b := newHeartbeat(250 * time.Millisecond)
	lastPing := map[*Socket]int64{}
	var sockets []*Socket
	for range 20_000 {
		switch i := random.IntN(len(sockets) + 3); {
		case i >= len(sockets):
			s := &Socket{}
			b.add(s)
			lastPing[s] = b.now
			sockets = append(sockets, s)
		case random.IntN(2) == 0:
			b.remove(sockets[i])
			delete(lastPing, sockets[i])
			sockets[i] = sockets[len(sockets)-1]
			sockets = sockets[:len(sockets)-1]
		default:
			every := sockets[i].every
			b.choose(sockets[i], time.Duration(random.IntN(31))*time.Second)
			if sockets[i].every != every {
				lastPing[sockets[i]] = b.now
			}
		}
		pings, looks := beats(&b, 1)
		for s := range looks {
			if _, there := lastPing[s]; !there {
				t.Fatal("a socket that is gone has its turn")
			}
		}
		for s := range pings {
			if b.now != lastPing[s]+int64(s.every) {
				t.Fatalf("a ping %d ticks after the last, want %d", b.now-lastPing[s], s.every)
			}
			lastPing[s] = b.now
		}
		for s, last := range lastPing {
			if b.now-last >= int64(s.every) && last != b.now {
				t.Fatalf("no ping for %d ticks, want %d", b.now-last, s.every)
			}
		}
	}
}

// TestIdleWithChosenHeartbeat: a client that answers the pings that it has chosen is not cut,
// however short the idle time is. One that leaves two unanswered is.
func TestIdleWithChosenHeartbeat(t *testing.T) {
	h := newTestHub(t, time.Hour, 2*time.Second)
	_, s, _ := connection(t, h)
	s.Heartbeat(10 * time.Second)
	heard := s.heard.Load()
	turn := []beatTurn{{s, false, 2 * time.Duration(s.every) * h.beat.tick}}
	h.take(turn, time.Now(), heard+int64(20*time.Second))
	if s.isClosing() {
		t.Fatal("cut before the second ping had been left unanswered")
	}
	h.take(turn, time.Now(), heard+int64(20*time.Second)+1)
	if !s.isClosing() {
		t.Fatal("not cut though two pings were left unanswered")
	}
}

// overdue is a session that should have joined long ago.
type overdue struct{ echo }

func (*overdue) Overdue(time.Time) bool { return true }

// closeCode reads until the close frame, and counts the pings before it.
func closeCode(t *testing.T, client net.Conn) (code ws.StatusCode, pings int) {
	t.Helper()
	for {
		f, err := ws.ReadFrame(client)
		if err != nil {
			t.Fatalf("after %d pings: %v", pings, err)
		}
		switch {
		case f.Header.OpCode == ws.OpClose:
			code, _ = ws.ParseCloseFrameData(f.Payload)
			return code, pings
		case string(f.Payload) == "ping":
			pings++
		default:
			t.Fatalf("got %q", f.Payload)
		}
	}
}

func TestIdleSocketIsClosed(t *testing.T) {
	inEachWay(t, testIdleSocketIsClosed)
}

func testIdleSocketIsClosed(t *testing.T, way way) {
	h := way.hub(t, 20*time.Millisecond, 200*time.Millisecond, 10)
	start := time.Now()
	client, _, e := way.connection(t, h)
	code, pings := closeCode(t, client)
	if took := time.Since(start); code != wire.CloseNormal || pings < 2 || took < 200*time.Millisecond {
		t.Errorf("close %d after %d pings and %v", code, pings, took)
	}
	client.Close()
	<-e.closed
}

// TestAnyLifeKeepsASocket: not only pongs count, and a socket that lives for many times the idle
// time is not cut.
func TestAnyLifeKeepsASocket(t *testing.T) {
	inEachWay(t, testAnyLifeKeepsASocket)
}

func testAnyLifeKeepsASocket(t *testing.T, way way) {
	const idle = 300 * time.Millisecond
	h := way.hub(t, 10*time.Millisecond, idle, 10)
	client, _, _ := way.connection(t, h)
	start := time.Now()
	for time.Since(start) < 4*idle {
		f, err := ws.ReadFrame(client)
		if err != nil || f.Header.OpCode == ws.OpClose {
			t.Fatalf("after %v: %v %q %v", time.Since(start), f.Header.OpCode, f.Payload, err)
		}
		if string(f.Payload) == "ping" {
			if _, err := client.Write(masked(ws.NewPongFrame(nil))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSocketThatDoesNotJoinIsClosed(t *testing.T) {
	h := newTestHub(t, 20*time.Millisecond, time.Hour)
	client, server := connect(t)
	e := &overdue{echo{closed: make(chan struct{})}}
	h.open(upgraded{conn: server}, func(peer wire.Peer) session { e.peer = peer; return e })
	client.SetDeadline(time.Now().Add(10 * time.Second))
	if code, _ := closeCode(t, client); code != wire.ClosePolicy {
		t.Errorf("close %d", code)
	}
	if _, err := client.Write(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1008, "")))); err != nil {
		t.Fatal(err)
	}
	<-e.closed
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the handshake: %d bytes, %v", n, err)
	}
}

// TestMaxSockets: a hub takes as many sockets as it may, and one more when one
// has left.
func TestMaxSockets(t *testing.T) {
	inEachWay(t, testMaxSockets)
}

func testMaxSockets(t *testing.T, way way) {
	h := way.hub(t, time.Hour, time.Hour, 2)
	first, _, e := way.connection(t, h)
	way.connection(t, h)
	for range 3 {
		client, _, over := connection(t, h)
		if code, _ := closeCode(t, client); code != wire.CloseTryLater {
			t.Errorf("close %d", code)
		}
		<-over.closed
	}
	if !h.full() {
		t.Error("not full")
	}
	first.Close()
	<-e.closed
	if _, s, _ := connection(t, h); s.isClosing() {
		t.Error("no socket is taken though there is room")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no time for anybody
	h.shutdown(ctx)
}

// TestShutdown: every socket gets 1001, and one whose client does not answer
// cannot hold it up.
func TestShutdown(t *testing.T) {
	inEachWay(t, testShutdown)
}

func testShutdown(t *testing.T, way way) {
	h := way.hub(t, time.Hour, time.Hour, 10)
	polite, _, e1 := way.connection(t, h)
	stubborn, _, e2 := way.connection(t, h)
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ended <- h.shutdown(ctx)
	}()
	for _, c := range []net.Conn{polite, stubborn} {
		if code, _ := closeCode(t, c); code != wire.CloseAway {
			t.Errorf("close %d", code)
		}
	}
	if _, err := polite.Write(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "")))); err != nil {
		t.Fatal(err)
	}
	<-e1.closed
	<-e2.closed
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestShutdownIsSpread: sockets are closed one after the other, and are served until their turn
// comes.
func TestShutdownIsSpread(t *testing.T) {
	h := newHub(20*time.Millisecond, time.Hour, 10, 0, 0)
	h.spread = 400 * time.Millisecond
	var clients []net.Conn
	for range 4 {
		client, _, _ := connection(t, h)
		clients = append(clients, client)
	}
	begun := time.Now()
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := contextWithTimeout()
		defer cancel()
		ended <- h.shutdown(ctx)
	}()
	type end struct {
		code  ws.StatusCode
		pings int
		after time.Duration
	}
	ends := make(chan end, len(clients))
	for _, c := range clients {
		go func() {
			var e end
			for e.code == 0 {
				f, err := ws.ReadFrame(c)
				if err != nil {
					break
				}
				if f.Header.OpCode == ws.OpClose {
					e.code, _ = ws.ParseCloseFrameData(f.Payload)
				} else {
					e.pings++
				}
			}
			e.after = time.Since(begun)
			c.Close()
			ends <- e
		}()
	}
	var last end
	for i := range clients {
		last = <-ends
		if earliest := h.spread * time.Duration(i) / 4; last.code != wire.CloseAway || last.after < earliest-5*time.Millisecond {
			t.Errorf("end %d: %+v; want 1001 not before %v", i, last, earliest)
		}
	}
	if last.pings < 2 { // 15 are due until its turn, on a machine that has the time
		t.Errorf("the last one got %d pings", last.pings)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
