package web

import "testing"

// TestBurst: memory is returned once after each burst of connects, and only when most of its
// sockets are parked.
func TestBurst(t *testing.T) {
	var b burst
	for i, second := range []struct {
		parked int64 // until then
		open   int
		over   bool
	}{
		{0, 0, false},
		{900, 900, false}, {900, 900, false}, // few
		{5000, 10000, false}, {9800, 10000, false}, // still coming
		{9850, 10000, true}, {9850, 10000, false}, {10000, 10000, false}, // once
		{12000, 20000, false}, {12000, 20000, false}, {12000, 20000, false}, // fewer than half are parked
		{19990, 20000, false}, {20000, 20000, true},
		{20800, 300, false}, {21400, 300, false}, {21400, 300, true}, // others have gone
	} {
		if got := b.over(second.parked, second.open); got != second.over {
			t.Errorf("second %d: over: %t", i, got)
		}
	}
}
