package web

import (
	"math"
	"time"
)

// heartbeat says whose turn it is: to be looked at, and to be sent a ping. A socket
// costs it a place in a slot; one slot has its turn each tick, every slot once in a
// revolution. The hub's lock guards it.
type heartbeat struct {
	tick  time.Duration
	own   int32       // ticks between the pings of a socket that has chosen nothing
	slots [][]*Socket // each socket is in that of the tick its next ping is due at
	now   int64       // ticks until now
}

// revolution is how long a socket is not looked at, at most.
const revolution = time.Second

// newHeartbeat pings a socket each interval, unless it chooses otherwise.
func newHeartbeat(interval time.Duration) heartbeat {
	const finest = 10 * time.Millisecond
	turn := min(interval, revolution)
	n := max(1, int(turn/finest))
	b := heartbeat{tick: turn / time.Duration(n), slots: make([][]*Socket, n)}
	b.own = b.ticks(interval)
	return b
}

// ticks is how many of them come closest to a time; one at least.
func (b *heartbeat) ticks(d time.Duration) int32 {
	return int32(min(max(1, (d+b.tick/2)/b.tick), math.MaxInt32))
}

// beatTurn is that of one socket.
type beatTurn struct {
	*Socket
	ping bool
	// patience is how long nothing may have come from it: by then it has left two
	// pings unanswered.
	patience time.Duration
}

// next goes on by one tick, and appends whose turn it is.
func (b *heartbeat) next(turns []beatTurn) []beatTurn {
	b.now++
	slot := b.slot(b.now)
	for i := len(*slot) - 1; i >= 0; i-- { // backwards, since those that are due may leave it
		s := (*slot)[i]
		ping := s.due <= b.now
		if ping {
			b.plan(s)
		}
		turns = append(turns, beatTurn{s, ping, 2 * time.Duration(s.every) * b.tick})
	}
	return turns
}

func (b *heartbeat) slot(tick int64) *[]*Socket { return &b.slots[tick%int64(len(b.slots))] }

// add takes a socket in that has just been sent a ping.
func (b *heartbeat) add(s *Socket) {
	s.every = b.own
	s.due = b.now + int64(s.every)
	b.put(s)
}

// choose sets how often a socket in it gets its ping from now on; 0 is as often as
// one that has chosen nothing.
func (b *heartbeat) choose(s *Socket, interval time.Duration) {
	every := b.own
	if interval > 0 {
		every = b.ticks(interval)
	}
	if every != s.every {
		s.every = every
		b.plan(s)
	}
}

// plan moves a socket to where its next ping is due.
func (b *heartbeat) plan(s *Socket) {
	due := b.now + int64(s.every)
	if b.slot(due) == b.slot(s.due) {
		s.due = due
		return
	}
	b.remove(s)
	s.due = due
	b.put(s)
}

func (b *heartbeat) put(s *Socket) {
	slot := b.slot(s.due)
	s.index = int32(len(*slot))
	*slot = append(*slot, s)
}

func (b *heartbeat) remove(s *Socket) {
	slot := b.slot(s.due)
	last := int32(len(*slot) - 1)
	moved := (*slot)[last]
	(*slot)[s.index], moved.index = moved, s.index
	(*slot)[last] = nil
	*slot = (*slot)[:last]
}
