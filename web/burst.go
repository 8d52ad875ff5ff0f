package web

import "runtime/debug"

// burst notices when many sockets have been opened and parked. Each of them took several
// times the memory that it keeps: a stack, buffers, and what its Join left behind. The
// runtime collects that when it needs the memory again, which an idle server does not.
type burst struct {
	before   int64 // sockets parked until a second ago
	returned int64 // sockets parked until memory was last returned
}

// minBurst is how many sockets are worth a collection of their own.
const minBurst = 1000

// over reports, asked once a second, whether a burst is over. parked counts the sockets that
// were parked for the first time, and open those that are open: at least half as many as are
// open were parked since the last burst, but hardly any in the last second.
func (b *burst) over(parked int64, open int) bool {
	late, all := parked-b.before, parked-b.returned
	b.before = parked
	if all < minBurst || 2*all < int64(open) || 100*late > all {
		return false
	}
	b.returned = parked
	return true
}

// returnMemory collects garbage and gives what is free back to the system.
func (h *hub) returnMemory() { h.ended.Go(debug.FreeOSMemory) }
