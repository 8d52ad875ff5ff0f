package lobby

import (
	"hash/maphash"
	"time"
)

// recent remembers the queue's own events of the last minutes, to distinguish their copies
// from the broker, late or duplicated, from what others publish. It keeps hashes, in two
// generations of bounded size. It is not safe for concurrent use.
type recent struct {
	seed     maphash.Seed
	new, old map[uint64]struct{}
	since    time.Time
}

const (
	recentSize = 20_000
	recentSpan = 5 * time.Minute // longer than a broker can hold an event back
)

func newRecent() recent {
	return recent{seed: maphash.MakeSeed(), new: map[uint64]struct{}{}}
}

func (r *recent) add(payload []byte, now time.Time) {
	if len(r.new) >= recentSize || now.Sub(r.since) > recentSpan {
		r.new, r.old, r.since = map[uint64]struct{}{}, r.new, now
	}
	r.new[maphash.Bytes(r.seed, payload)] = struct{}{}
}

func (r *recent) has(payload []byte) bool {
	h := maphash.Bytes(r.seed, payload)
	_, new := r.new[h]
	_, old := r.old[h]
	return new || old
}
