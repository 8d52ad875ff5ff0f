package web

import (
	"reflect"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestMemoryIsReturned: when a burst of connects is over, a server returns memory to the
// system, once.
func TestMemoryIsReturned(t *testing.T) {
	h := newTestHub(t, time.Hour, time.Hour)
	if reflect.ValueOf(h.free).Pointer() != reflect.ValueOf(debug.FreeOSMemory).Pointer() {
		t.Error("memory is not returned to the system")
	}
	var returned atomic.Int64
	h.mu.Lock() // which the heartbeat takes before it looks
	h.free = func() { returned.Add(1) }
	h.mu.Unlock()
	pong := masked(ws.NewTextFrame([]byte("pong:user")))
	for range minBurst {
		client, _, _ := connection(t, h)
		for range h.parkAfter {
			write(t, client, pong)
		}
	}
	eventually(t, "all are parked", func() bool { return h.parked.Load() == minBurst })
	eventually(t, "memory is returned", func() bool { return returned.Load() == 1 })
	begin := tick(h)
	eventually(t, "two more seconds", func() bool { return tick(h) >= begin+2*int64(len(h.beat.slots)) })
	if n := returned.Load(); n != 1 {
		t.Errorf("memory was returned %d times", n)
	}
}

// tick is the tick that a hub's heartbeat has come to.
func tick(h *hub) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.beat.now
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for begin := time.Now(); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("not within %v: %s", time.Since(begin), what)
		}
	}
}
