package redisdb

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxQueued bounds the calls that wait for a pipeline or are in flight.
	maxQueued = 1 << 16
	// maxKept is the number of calls that an empty queue keeps memory for.
	maxKept = 8192
)

// call is one call of Submit.
type call struct {
	deadline time.Time
	done     func(error)
	cmds     []redis.Cmder
}

// queue hands calls from Submit to the flusher.
type queue struct {
	wake chan struct{} // signalled once after every take that leaves the flusher asleep
	size atomic.Int64  // unsettled calls

	mu       sync.Mutex
	waiting  []call
	sleeping bool // the flusher waits for wake
	closed   bool
	refused  sync.WaitGroup // callbacks of calls refused before close
}

// put queues c, or refuses it. The callback of a refused call runs in a separate goroutine, because the
// caller of Submit may hold the lock that the callback wants.
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

// take appends all waiting calls to held and reuses its memory. If there are none, wake will be
// signalled. closed means that no call will follow.
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

// close refuses further calls. It returns false if the queue was already closed.
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

// rouse wakes the flusher if it sleeps. The caller holds q.mu.
func (q *queue) rouse() {
	if !q.sleeping {
		return
	}
	q.sleeping = false
	select {
	case q.wake <- struct{}{}:
	default: // must not block, because q.mu is held
	}
}
