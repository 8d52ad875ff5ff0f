package web

// burst notices when many sockets have been opened and parked. Each of them took several
// times the memory that it keeps: a stack, buffers, and what its Join left behind. The
// runtime collects that when it needs the memory again, which an idle server does not.
type burst struct {
	came     int64 // sockets opened until a second ago
	before   int64 // sockets parked until then
	returned int64 // sockets parked until memory was last returned
}

// minBurst is how many sockets are worth a collection of their own.
const minBurst = 1000

// calm is how many sockets come or are parked in a second, at most, when a burst is over: one
// in a hundred of it, and no more than this however large it was. Those who still come need
// the memory, and the processor.
const calm = 50

// over reports, asked once a second, whether a burst is over. came counts the sockets that
// were opened, parked those that were parked for the first time, and open those that are open:
// at least half as many as are open were parked since the last burst, but hardly any came or
// were parked in the last second.
func (b *burst) over(came, parked int64, open int) bool {
	late, all := max(came-b.came, parked-b.before), parked-b.returned
	b.came, b.before = came, parked
	if all < minBurst || 2*all < int64(open) || late > min(calm, all/100) {
		return false
	}
	b.returned = parked
	return true
}

// returnMemory collects garbage and gives what is free back to the system.
func (h *hub) returnMemory() { h.ended.Go(h.free) }
