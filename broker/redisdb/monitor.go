package redisdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	probeEvery     = time.Second
	probeEveryDown = 250 * time.Millisecond
	// Every fullEvery-th probe is a full one, and so is every probe while the store is down.
	fullEvery = 10
)

// Ready returns nil while the store answers and passes the trials, and otherwise an error in the
// store's words, without secrets. It does no I/O. Right after Open the store is not ready. A store
// that dies silently is noticed within 3 s.
func (db *DB) Ready() error {
	if db.ctx.Err() != nil {
		return ErrClosed
	}
	if err := db.down.Load(); err != nil {
		return *err
	}
	return nil
}

// Now returns the store's time, which is the same on all servers, whatever their own clocks say. It
// does no I/O; the monitor asks the store once a second. Before the first answer it returns the local
// time. After that it never goes backwards, and stands still if the store's clock was set back.
func (db *DB) Now() time.Time {
	local := time.Since(db.base) // monotonic: not affected by setting the local clock
	if !db.synced.Load() {
		return db.origin.Add(local)
	}
	now := int64(local) + db.offset.Load()
	for {
		last := db.last.Load()
		if now <= last {
			return db.origin.Add(time.Duration(last))
		}
		if db.last.CompareAndSwap(last, now) {
			return db.origin.Add(time.Duration(now))
		}
	}
}

// look makes the monitor probe the store at once.
func (db *DB) look() {
	select {
	case db.probe <- struct{}{}:
	default:
	}
}

// monitor probes the store, for Ready and for the store's clock.
func (db *DB) monitor() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		select {
		case <-db.ctx.Done():
			return
		case <-timer.C:
		case <-db.probe:
		}
		every := probeEvery
		down := db.down.Load() != nil
		histories, err := db.ask(n%fullEvery == 0 || down, down)
		if err != nil {
			every = probeEveryDown
			db.setDown(err)
		} else {
			db.histories.follow(histories, down)
			db.setUp()
		}
		timer.Reset(every)
	}
}

func (db *DB) setDown(err error) {
	if db.ctx.Err() != nil {
		return
	}
	db.metrics.errors.Inc()
	db.metrics.up.Set(0)
	var timeout net.Error
	if isReply := redis.Error(nil); errors.As(err, &isReply) {
		err = fmt.Errorf("redis: %s%w", hint(err), err)
	} else if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		err = fmt.Errorf("redis: no answer: %w", err)
	} else if !strings.HasPrefix(err.Error(), "redis: ") {
		err = fmt.Errorf("redis: %w", err)
	}
	db.down.Store(&err)
	db.log.Warn("cannot use the store", "error", err) // logged once a minute while it lasts
}

// hint explains errors of the store that do not say what is wrong.
func hint(err error) string {
	for prefix, what := range map[string]string{
		"NOPERM ":   "the user lacks a permission: ",
		"READONLY ": "this is a replica, or has become one: ",
	} {
		if redis.HasErrorPrefix(err, strings.TrimSpace(prefix)) {
			return what
		}
	}
	return ""
}

func (db *DB) setUp() {
	if db.down.Swap(nil) != nil {
		db.metrics.connects.Inc()
		db.metrics.up.Set(1)
		db.log.Info("connected to the store")
		db.warnOfEviction()
	}
}

// warnOfEviction warns if the store evicts keys when its memory is full, as far as that can be known.
func (db *DB) warnOfEviction() {
	ctx, cancel := context.WithTimeout(db.ctx, ioTimeout)
	defer cancel()
	info, err := db.Client().Info(ctx, "memory").Result()
	if err != nil {
		return
	}
	var limit, policy string
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "maxmemory":
			limit = value
		case "maxmemory_policy":
			policy = value
		}
	}
	if limit != "" && limit != "0" && policy != "" && policy != "noeviction" {
		db.log.Warn("the store evicts keys when its memory is full, and loses chats: set its maxmemory-policy to noeviction", "policy", policy)
	}
}

// ask asks the store for its time and its histories, and runs the trials. All masters of a Cluster must
// answer; the clock is always that of the same master. connect allows time for new connections.
func (db *DB) ask(full, connect bool) ([]string, error) {
	timeout := ioTimeout
	if connect {
		timeout = connectTimeout
	}
	ctx, cancel := context.WithTimeout(db.ctx, timeout)
	defer cancel()
	asked := false
	if connect {
		var err error
		if asked, err = db.recognize(ctx); err != nil {
			return nil, err
		}
	}
	var client redis.UniversalClient = db.Client()
	var histories []string
	if cluster, ok := client.(*redis.ClusterClient); ok {
		var err error
		if histories, err = historiesOf(ctx, cluster); err != nil {
			return nil, err
		}
		if client, err = cluster.MasterForKey(ctx, "clock"); err != nil {
			return nil, err
		}
	}
	before := time.Since(db.base)
	var clock *redis.TimeCmd
	data := redis.NewStringResult("", nil)
	_, _ = client.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each has its error
		clock = pipe.Time(ctx)
		if histories == nil {
			data = pipe.Info(ctx, "replication")
		}
		return nil
	})
	after := time.Since(db.base)
	t, err := clock.Result()
	if err != nil {
		return nil, err
	}
	if err := data.Err(); err != nil && !isReply(err) { // it may be forbidden
		return nil, err
	}
	if histories == nil {
		histories = appendHistory(nil, data.Val())
	}
	db.sync(t, before, after)
	trip := after - before
	if connect && !asked {
		trip /= 3 // for connecting, HELLO, and the question
	}
	if db.trips.add(trip); db.distant() {
		if err := db.connectAhead(); err != nil {
			return nil, err
		}
	}
	if db.sentinel {
		db.lookForPrimary(ctx)
	}
	if db.replicas > 0 {
		if err := client.Do(ctx, "wait", 0, 1000).Err(); err != nil { // it may be unknown or forbidden
			return nil, err
		}
	}
	return histories, db.try(full)
}

// lookForPrimary finds out where the primary of a Sentinel group is.
func (db *DB) lookForPrimary(ctx context.Context) {
	client, ok := db.Client().(*redis.Client)
	if !ok {
		return
	}
	conn, err := client.Options().Dialer(ctx, "tcp", "")
	if err != nil {
		return // the next probe tells
	}
	if c, ok := conn.(*farewell); ok {
		db.primary.Store(c.addr)
	}
	_ = conn.Close() // nothing was sent
}

// try runs the trials.
func (db *DB) try(full bool) error {
	ctx, cancel := context.WithTimeout(db.ctx, ioTimeout)
	defer cancel()
	pipe := db.Client().Pipeline()
	for _, trial := range db.trials {
		for _, args := range trial(db, full) {
			pipe.Do(ctx, args...)
		}
	}
	if pipe.Len() == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}

// sync takes over the store's time t, which was read between before and after. It moves the offset as
// little as t demands, so that network delays do not show.
func (db *DB) sync(t time.Time, before, after time.Duration) {
	stored := int64(t.Sub(db.origin))
	low, high := stored-int64(after), stored-int64(before)
	if !db.synced.Load() {
		db.offset.Store(low + (high-low)/2)
		db.last.Store(int64(before) + low)
		db.synced.Store(true)
		close(db.timed)
		return
	}
	db.offset.Store(min(max(db.offset.Load(), low), high))
}

// AwaitTime waits until Now returns the store's time. If ctx ends first, it returns an error that wraps
// ErrUnavailable.
func (db *DB) AwaitTime(ctx context.Context) error {
	select {
	case <-db.timed:
		return nil
	case <-ctx.Done():
		return unavailable(context.Cause(ctx))
	}
}
