package follow

import (
	"context"
	"sync"
	"time"

	"livesupport/chat/log"

	"github.com/redis/go-redis/v9"
)

const (
	// parallel is how many chats of one listener a process visits concurrently.
	parallel = 64
	// forgetEvery is how long a process relies on its knowledge of which chats wait.
	forgetEvery = time.Minute
)

// tail follows the logs of chats for one listener.
type tail struct {
	*Follower
	listener Listener
	due      string        // due list of the chats to visit
	more     chan struct{} // signals that chats may be due; capacity 1
	slots    chan struct{} // one element per worker; capacity parallel
	told     *told
	standing *standing
	forgot   time.Time // when the knowledge of waiting chats was last dropped

	mu     sync.Mutex
	folds  map[string]*fold
	folded int
}

func newTail(f *Follower, l Listener) *tail {
	return &tail{
		Follower: f, listener: l, due: f.cfg.DB.Key("chat:{follow}:" + l.Name() + ":due"),
		more: make(chan struct{}, 1), slots: make(chan struct{}, parallel),
		told: newTold(f.cfg.DB), standing: newStanding(l, f.cfg.DB, f.cfg.Log), forgot: time.Now(),
		folds: map[string]*fold{},
	}
}

func (t *tail) nudge() {
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// slot reserves a worker if one is free.
func (t *tail) slot() bool {
	select {
	case t.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// start makes a worker, which the caller has reserved, visit a chat. With look, the visit checks
// whether the listener is back.
func (t *tail) start(ctx context.Context, chatID string, until int64, look bool) {
	v := &visiting{chatID: chatID, until: until, look: look, saved: time.Now()}
	t.told.begin(v)
	if look {
		t.standing.begin()
	}
	t.ended.Go(func() {
		defer func() { <-t.slots }()
		v.fold = t.takeFold(chatID)
		t.visit(ctx, v)
		t.told.end(v, 0)
		if look {
			t.standing.end()
			t.nudge()
		}
	})
}

// run starts visits of due chats.
func (t *tail) run(ctx context.Context) {
	if t.cfg.DB.AwaitTime(ctx) != nil {
		return
	}
	for ctx.Err() == nil && !t.standing.isStopped() {
		rest, look := t.standing.next()
		n, overdue := parallel, time.Duration(0)
		switch {
		case rest > 0:
			overdue, look = t.heldFor(), false
		case look:
			n = 1
		}
		full, err := t.some(ctx, n, overdue, look)
		if err != nil && ctx.Err() == nil {
			t.cfg.Log.Debug("cannot look for due chats", "for", t.listener.Name(), "error", err)
		}
		if full {
			continue
		}
		wait := min(rest, sweepEvery)
		if rest == 0 {
			wait = t.untilNext(ctx)
		}
		timer := time.NewTimer(wait)
		select {
		case <-t.more:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// some makes free workers visit chats, at most n, that have been due for the given time. It reports
// whether there may be more.
func (t *tail) some(ctx context.Context, n int, overdue time.Duration, look bool) (full bool, err error) {
	select {
	case t.slots <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	free := 1
	for free < n && t.slot() {
		free++
	}
	attempt, cancel := context.WithTimeout(ctx, storeTimeout)
	ids, until, err := log.TakeOverdue(attempt, t.cfg.DB, t.due, free, tailLease, overdue)
	cancel()
	for range free - len(ids) {
		<-t.slots
	}
	for _, id := range ids {
		t.start(ctx, id, until, look)
	}
	return len(ids) == free, err
}

// untilNext returns the time until the next chat is due or the store should be asked again.
func (t *tail) untilNext(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	first := redis.NewZSliceCmd(ctx, "zrange", t.due, 0, 0, "withscores")
	if t.do(ctx, first) != nil || len(first.Val()) == 0 {
		return sweepEvery
	}
	wait := time.Duration(int64(first.Val()[0].Score)-t.cfg.DB.Now().UnixMilli()) * time.Millisecond
	return min(max(wait, time.Millisecond), sweepEvery)
}

// measured returns the commands that measure the list, and those of standing.exchange.
func (t *tail) measured(ctx context.Context) []redis.Cmder {
	if time.Since(t.forgot) > forgetEvery {
		t.forgot = time.Now()
		t.told.again()
	}
	size, kept := redis.NewIntCmd(ctx, "zcard", t.due), redis.NewBoolCmd(ctx, "pexpire", t.due, t.keep())
	return append([]redis.Cmder{size, kept}, t.standing.exchange(ctx, t.cfg.DB.Now())...)
}
