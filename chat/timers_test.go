package chat

import (
	"context"
	"sync"
	"testing"
	"time"
)

// Timers fire in the order of their times, whatever the order in which they were
// set, and those that a timer sets fire, too.
func TestTimers(t *testing.T) {
	timers := newTimers()
	ctx, stop := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { timers.run(ctx) })
	defer ended.Wait()
	defer stop()
	fired := make(chan int, 10)
	fire := func(n int) func() { return func() { fired <- n } }
	timers.after(60*time.Millisecond, fire(4))
	timers.after(20*time.Millisecond, func() {
		fired <- 2
		timers.after(10*time.Millisecond, fire(3))
	})
	timers.after(time.Hour, fire(5))
	timers.after(0, fire(1))
	for want := 1; want <= 4; want++ {
		select {
		case got := <-fired:
			if got != want {
				t.Fatalf("timer %d fired, want %d", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("timer %d does not fire", want)
		}
	}
}
