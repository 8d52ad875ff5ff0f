package web

import (
	"testing"
	"time"
)

// TestCrewIsBounded: when many sockets come and go at once, only so many of their goroutines wait for others, and these
// serve the next ones.
func TestCrewIsBounded(t *testing.T) {
	h := ended(t, newHub(time.Hour, time.Hour, 1000, 0, -1))
	idle := func() int {
		h.crew.mu.Lock()
		defer h.crew.mu.Unlock()
		return len(h.crew.idle)
	}
	settles := func(want int) {
		t.Helper()
		for begun := time.Now(); idle() < want; time.Sleep(time.Millisecond) {
			if time.Since(begun) > 10*time.Second {
				t.Fatalf("%d wait, want %d", idle(), want)
			}
		}
		time.Sleep(50 * time.Millisecond) // for any others
		if n := idle(); n != want {
			t.Fatalf("%d wait, want %d", n, want)
		}
	}
	come := func(n int) (leave func()) {
		var leaves []func()
		for range n {
			client, _, e := connection(t, h)
			leaves = append(leaves, func() { client.Close(); <-e.closed })
		}
		return func() {
			for _, leave := range leaves {
				leave()
			}
		}
	}
	come(3 * maxIdle)()
	settles(maxIdle)
	leave := come(10)
	settles(maxIdle - 10)
	leave()
	settles(maxIdle)
}
