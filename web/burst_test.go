package web

import "testing"

// TestBurst: memory is returned once after each burst of connects, and only when most sockets
// that it has brought are parked, and no others come.
func TestBurst(t *testing.T) {
	var b burst
	for i, second := range []struct {
		came, parked int64 // until then
		open         int
		over         bool
	}{
		{0, 0, 0, false},
		{900, 900, 900, false}, {900, 900, 900, false}, // few
		{10000, 5000, 10000, false}, {10000, 9800, 10000, false}, // still being parked
		{10000, 9850, 10000, true}, {10000, 9850, 10000, false}, {10000, 10000, 10000, false}, // once
		{20000, 12000, 20000, false}, {20000, 12000, 20000, false}, {20000, 12000, 20000, false}, // fewer than half are parked
		{20000, 19990, 20000, false}, {20000, 20000, 20000, true},
		{21500, 20800, 300, false}, {21500, 21400, 300, false}, {21500, 21400, 300, true}, // others have gone
		{23000, 22000, 1900, false}, {23000, 22900, 1900, false}, {25000, 22900, 3900, false}, // the next ones come
		{25000, 24900, 3900, false}, {25000, 24900, 3900, true},
		{65000, 64900, 40000, false}, {65080, 64980, 40000, false}, {65160, 65060, 40000, false}, // a steady stream
		{65161, 65061, 40000, true},
	} {
		if got := b.over(second.came, second.parked, second.open); got != second.over {
			t.Errorf("second %d: over: %t", i, got)
		}
	}
}
