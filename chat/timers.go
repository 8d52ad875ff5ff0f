package chat

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// timers calls functions at their time, one after the other. The functions must not block.
// Idle timers need no goroutine of their own.
type timers struct {
	mu   sync.Mutex
	due  timerHeap
	wake chan struct{} // signals an earlier timer; capacity 1
}

type timer struct {
	at moment
	f  func()
}

type timerHeap []timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = timer{}
	*h = old[:len(old)-1]
	return last
}

func newTimers() *timers { return &timers{wake: make(chan struct{}, 1)} }

// after makes run call f after d. The caller may hold a lock that f takes.
func (t *timers) after(d time.Duration, f func()) {
	t.mu.Lock()
	at := now().add(d)
	first := len(t.due) == 0 || at < t.due[0].at
	heap.Push(&t.due, timer{at, f})
	t.mu.Unlock()
	if first {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// next removes the first timer if it is due, and otherwise returns how long to wait for it.
func (t *timers) next() (f func(), wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.due) == 0 {
		return nil, time.Hour
	}
	if wait = t.due[0].at.until(); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&t.due).(timer).f, 0
}

// run calls due functions until ctx ends.
func (t *timers) run(ctx context.Context) {
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for ctx.Err() == nil {
		f, wait := t.next()
		if f != nil {
			f()
			continue
		}
		clock.Reset(wait)
		select {
		case <-clock.C:
		case <-t.wake:
		case <-ctx.Done():
		}
	}
}
