package redisdb

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxQueued bounds the calls that wait for a pipeline or are in one.
	maxQueued = 1 << 16
	// maxKept is the number of calls whose memory a drained queue keeps.
	maxKept = 8192
)

// call is one Submit.
type call struct {
	deadline time.Time
	done     func(error)
	cmds     []redis.Cmder
}

// queue hands calls from Submit to the flusher.
type queue struct {
	wake chan struct{} // signalled once after every take that leaves the flusher asleep
	size atomic.Int64  // calls not settled yet

	mu       sync.Mutex
	waiting  []call
	sleeping bool // the flusher waits for wake
	closed   bool
	refused  sync.WaitGroup // callbacks of calls refused before close
}

// put queues c, or refuses it. A refusal's callback runs on a goroutine of its
// own, because whoever calls Submit may hold the lock that the callback wants.
func (q *queue) put(c call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		go c.done(ErrClosed)
	case q.size.Load() >= maxQueued:
		q.refused.Go(func() { c.done(fmt.Errorf("%w: %d calls are waiting", ErrUnavailable, maxQueued)) })
	default:
		q.waiting = append(q.waiting, c)
		q.size.Add(1)
		q.rouse()
	}
}

// take appends all waiting calls to held, which the queue makes use of. If there
// are none at all wake will be signalled. closed tells that no call will follow.
func (q *queue) take(held []call) (calls []call, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(held) == 0 {
		held, q.waiting = q.waiting, held
	} else {
		held = append(held, q.waiting...)
		clear(q.waiting)
		q.waiting = q.waiting[:0]
	}
	q.sleeping = len(held) == 0 && !q.closed
	return held, q.closed
}

// close lets no further call in; false if that has happened before.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.closed = true
	q.rouse()
	return true
}

// rouse wakes the flusher if it sleeps; q.mu is held.
func (q *queue) rouse() {
	if !q.sleeping {
		return
	}
	q.sleeping = false
	select {
	case q.wake <- struct{}{}:
	default: // never wait here: q.mu is held
	}
}
