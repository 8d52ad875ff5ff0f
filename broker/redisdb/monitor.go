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
)

// Ready returns nil while the store answers, else what is wrong, without secrets.
// It does no I/O. Right after Open the store counts as not ready. One that dies
// without a word is noticed within 3 s.
func (db *DB) Ready() error {
	if db.ctx.Err() != nil {
		return ErrClosed
	}
	if err := db.down.Load(); err != nil {
		return *err
	}
	return nil
}

// Now is the store's time: the same on all servers, whatever their own clocks
// say. It does no I/O: the store is asked once a second. Before the first answer
// it is the local time; after it, Now never goes backwards, and stands still if
// the store's clock has been set back.
func (db *DB) Now() time.Time {
	local := time.Since(db.base) // monotonic: setting the local clock does no harm
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

// look makes the monitor look at the store at once.
func (db *DB) look() {
	select {
	case db.probe <- struct{}{}:
	default:
	}
}

// monitor keeps Ready and the store clock.
func (db *DB) monitor() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-db.ctx.Done():
			return
		case <-timer.C:
		case <-db.probe:
		}
		every := probeEvery
		if err := db.ask(); err != nil {
			every = probeEveryDown
			db.setDown(err)
		} else {
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
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		err = fmt.Errorf("redis: no answer: %w", err)
	} else if !strings.HasPrefix(err.Error(), "redis: ") {
		err = fmt.Errorf("redis: %w", err)
	}
	switch db.down.Swap(&err) {
	case nil:
		db.log.Warn("lost the store", "err", err)
	case &errStarting:
		db.log.Warn("cannot reach the store", "err", err)
	}
}

func (db *DB) setUp() {
	if db.down.Swap(nil) != nil {
		db.metrics.connects.Inc()
		db.metrics.up.Set(1)
		db.log.Info("connected to the store")
	}
}

// ask asks the store for its time. All masters of a Cluster must answer; the
// clock is one master's, always the same.
func (db *DB) ask() error {
	ctx, cancel := context.WithTimeout(db.ctx, ioTimeout)
	defer cancel()
	var client redis.Cmdable = db.client
	if cluster, ok := db.client.(*redis.ClusterClient); ok {
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() })
		if err != nil {
			return err
		}
		if client, err = cluster.MasterForKey(ctx, "clock"); err != nil {
			return err
		}
	}
	before := time.Since(db.base)
	t, err := client.Time(ctx).Result()
	after := time.Since(db.base)
	if err != nil {
		return err
	}
	db.sync(t, before, after)
	return nil
}

// sync takes over the store's time t, read between before and after. The offset
// moves as little as t demands, so that the delays of the network do not show.
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

// AwaitTime returns when Now tells the store's time, or when ctx ends with an
// error that wraps ErrUnavailable.
func (db *DB) AwaitTime(ctx context.Context) error {
	select {
	case <-db.timed:
		return nil
	case <-ctx.Done():
		return unavailable(context.Cause(ctx))
	}
}
