package web

import (
	"bytes"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestFlow(t *testing.T) {
	const second = int64(time.Second)
	for name, test := range map[string]struct {
		frames, bytes float64
		size          int
		atOnce, later int // frames that pass at once, and then each second
	}{
		"no limit":           {0, 0, maxMessage, 100_000, 100_000},
		"frames":             {100, 0, maxMessage, 400, 100},
		"empty frames":       {100, 1 << 20, 0, 400, 100},
		"bytes":              {0, 1 << 20, 1 << 10, 4096, 1024},
		"both, large":        {100, 1 << 20, maxMessage, 64, 16},
		"both, small":        {100, 1 << 20, 9, 400, 100},
		"a large one of 4 s": {0, 16 << 10, maxMessage, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFlow(test.frames, test.bytes)
			var u used
			passed := func(now int64) (n int) {
				before := u
				for n < 100_000 && f.allows(&u, test.size, now) {
					n, before = n+1, u
				}
				u = before // who is refused is closed; here they go on
				return n
			}
			now := int64(1000) * second
			if got := passed(now); got != test.atOnce {
				t.Errorf("%d pass at once, want %d", got, test.atOnce)
			}
			for range 3 {
				now += second
				if got := passed(now); got != test.later {
					t.Errorf("%d pass a second later, want %d", got, test.later)
				}
			}
			if got := passed(now + 1000*second); got != test.atOnce {
				t.Errorf("%d pass at once after a rest, want %d", got, test.atOnce)
			}
		})
	}
}

// TestFlood: whatever the frames are, a client that sends too many is told so and closed with 1008.
// A client that sends as many as allowed is not.
func TestFlood(t *testing.T) {
	inEachWay(t, testFlood)
}

func testFlood(t *testing.T, way way) {
	text := masked(ws.NewTextFrame([]byte("x")))
	for name, test := range map[string]struct {
		frame []byte
		times int
		cut   bool
	}{
		"pings":              {masked(ws.NewPingFrame([]byte("hello"))), 500, true},
		"pongs":              {masked(ws.NewPongFrame(nil)), 500, true},
		"heartbeats":         {masked(ws.NewTextFrame([]byte("pong:user"))), 500, true},
		"messages":           {text, 500, true},
		"empty messages":     {masked(ws.NewTextFrame(nil)), 500, true},
		"binary":             {masked(ws.NewBinaryFrame([]byte("x"))), 500, true},
		"empty fragments":    {masked(ws.NewFrame(ws.OpContinuation, false, nil)), 500, true},
		"bytes":              {masked(ws.NewTextFrame(bytes.Repeat([]byte("x"), 60_000))), 30, true},
		"as many as allowed": {text, 398, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := way.hub(t, time.Hour, time.Hour, 10)
			h.flow = newFlow(100, 256<<10)
			client, s, e := way.connection(t, h)
			var burst []byte
			if name == "empty fragments" {
				burst = masked(ws.NewFrame(ws.OpText, false, []byte("{")))
			}
			burst = append(burst, bytes.Repeat(test.frame, test.times)...)
			if !test.cut {
				burst = append(burst, masked(ws.NewFrame(ws.OpClose, true, nil))...)
			}
			written := make(chan struct{})
			go func() {
				defer close(written)
				client.Write(burst) // it may be cut before all is written
			}()
			want := ws.StatusPolicyViolation
			if !test.cut {
				want = ws.StatusNormalClosure
			}
			told := false
			for {
				f, err := ws.ReadFrame(client)
				if err != nil {
					t.Fatalf("no close frame: %v", err)
				}
				told = told || bytes.Equal(f.Payload, errFlooded.Payload(""))
				if f.Header.OpCode == ws.OpClose {
					if code, reason := ws.ParseCloseFrameData(f.Payload); code != want || told != test.cut {
						t.Errorf("closed with %d %q, told %v", code, reason, told)
					}
					break
				}
			}
			client.Close()
			<-written
			<-e.closed
			if !s.isClosing() {
				t.Error("the socket is open")
			}
		})
	}
}

// BenchmarkFlow is what the limit costs each frame.
func BenchmarkFlow(b *testing.B) {
	f := newFlow(100, 1<<20)
	var u used
	now := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		now += int64(time.Second)
		if !f.allows(&u, len(benchText), now) {
			b.Fatal("refused")
		}
	}
}
