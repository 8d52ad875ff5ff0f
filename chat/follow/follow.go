// Package follow hands the logs of ended chats over to receivers such as the archive
// (Receiver), and sends the events of live chats to listeners such as webhooks (Listener).
//
// The chat's log is the outbox. There is no second record, so nothing can be in one and not in
// the other. The server that ends a chat puts it on a list for every receiver, in the store. One
// process at a time, with a lease, reads the log and hands it over; when all receivers have the
// log, it is deleted. A sweep finds chats that nobody has ended because their servers have died.
// For live chats, the server that appends an entry reports it (Appended), and a regular check of
// all live chats finds entries that were not reported. A cursor beside each log records how far
// every listener is. Any number of processes can follow; one live process is enough.
package follow

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"livesupport/broker/redisdb"
	"livesupport/chat/log"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// Log is the log of an ended chat, with all entries.
type Log struct {
	ChatID  string
	Entries []string
}

// A Receiver takes the logs of ended chats. It must be safe for concurrent use.
type Receiver interface {
	// Name returns the receiver's unique name, a word of lower-case letters.
	Name() string
	// Take takes all of the logs or, with an error, none. It may get a log again at any
	// time and from another process, so it must recognise known logs by their ChatID. An
	// error that wraps ErrAway has nothing to do with the logs; after any other error, each
	// log is tried alone. ctx ends within takeTimeout.
	Take(ctx context.Context, logs []Log) error
}

// ErrAway is the error of a receiver that is unavailable.
var ErrAway = errors.New("follow: the receiver is unavailable")

const (
	// sweepEvery is how often to check for work that this process was not told of.
	sweepEvery = time.Second
	// lease is how long a process has the chats that it has taken on. A process that dies
	// delays them by no more than that.
	lease = 6 * time.Second
	// takeTimeout bounds one call of a receiver. The lease is not renewed during a call.
	takeTimeout = 4 * time.Second
	// storeTimeout bounds one call of the store.
	storeTimeout = 3 * time.Second
	// sweepPiece and feedPiece are how many chats are taken on at once.
	sweepPiece, feedPiece = 500, 100
	// maxEntries bounds the logs that are handed over at once. A longer log is handed over
	// alone.
	maxEntries = 2000
)

// Config has the parameters of a Follower.
type Config struct {
	DB        *redisdb.DB
	Logs      log.Store // with a grace
	Receivers []Receiver
	Listeners []Listener
	Log       *slog.Logger
}

// Follower ends chats, and feeds receivers and listeners. It is safe for concurrent use.
type Follower struct {
	cfg   Config
	feeds []*feed
	tails []*tail
	names []any // of the receivers and listeners
	news  *news // nil without listeners

	stop  context.CancelFunc
	ended sync.WaitGroup
}

// New starts a Follower. The store and the receivers may be unavailable at the start.
func New(cfg Config) *Follower {
	ctx, stop := context.WithCancel(context.Background())
	f := &Follower{cfg: cfg, stop: stop}
	for _, r := range cfg.Receivers {
		f.feeds = append(f.feeds, newFeed(f, r))
		f.names = append(f.names, r.Name())
	}
	if len(cfg.Listeners) > 0 {
		f.news = newNews(f)
	}
	for _, l := range cfg.Listeners {
		f.tails = append(f.tails, newTail(f, l))
		f.news.names = append(f.news.names, l.Name())
		f.names = append(f.names, l.Name())
	}
	for _, feed := range f.feeds {
		f.ended.Go(func() { feed.run(ctx) })
	}
	for _, tail := range f.tails {
		f.ended.Go(func() { tail.run(ctx) })
		f.ended.Go(func() { tail.tellLoop(ctx) })
	}
	if f.news != nil {
		f.ended.Go(func() { f.news.lookLoop(ctx) })
	}
	f.ended.Go(func() { f.sweepLoop(ctx) })
	return f
}

// Close ends the goroutines and joins them. It abandons work in progress, which another process
// does again.
func (f *Follower) Close() error {
	f.stop()
	f.ended.Wait()
	return nil
}

// Metrics returns the metrics of the receivers and listeners.
func (f *Follower) Metrics() []prometheus.Collector {
	var all []prometheus.Collector
	for _, feed := range f.feeds {
		all = append(all, feed.metrics.waiting, feed.metrics.oldest, feed.metrics.errors, feed.metrics.taken)
	}
	if f.news != nil {
		all = append(all, f.news.metrics.waiting, f.news.metrics.dropped, f.news.metrics.errors, f.news.metrics.delay)
	}
	return all
}

// End ends those of the chats that have expired, queues them for the receivers, and returns how
// long each chat still lives, 0 if it has ended or is gone. It can be repeated.
func (f *Follower) End(ctx context.Context, chatIDs []string) ([]time.Duration, error) {
	rest, err := f.cfg.Logs.End(ctx, chatIDs)
	if err != nil {
		return nil, err
	}
	var over []string
	for i, id := range chatIDs {
		if rest[i] == 0 {
			over = append(over, id)
		}
	}
	if len(over) == 0 {
		return rest, nil
	}
	if err := f.hand(ctx, over); err != nil {
		return nil, err
	}
	return rest, nil
}

// EndAll ends all chats, expired or not, and returns when they were handed over. It is for a
// store that ends with this process.
func (f *Follower) EndAll(ctx context.Context) error {
	err := f.cfg.Logs.Living(ctx, func(some []string) error {
		if len(some) == 0 {
			return nil
		}
		if err := f.cfg.Logs.EndNow(ctx, some); err != nil {
			return err
		}
		return f.hand(ctx, some)
	})
	var lists []string
	for _, feed := range f.feeds {
		lists = append(lists, feed.since)
	}
	for _, tail := range f.tails {
		lists = append(lists, tail.due)
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for ; err == nil; <-ticker.C {
		waiting := int64(0)
		for _, list := range lists {
			size := redis.NewIntCmd(ctx, "zcard", list)
			if err = f.do(ctx, size); err != nil {
				return err
			}
			waiting += size.Val()
		}
		if waiting == 0 {
			return nil
		}
	}
	return err
}

// hand puts ended chats on every receiver's list, and then forgets their deadlines. If it fails
// in between, the sweep finds them.
func (f *Follower) hand(ctx context.Context, chatIDs []string) error {
	now := f.cfg.DB.Now().UnixMilli()
	var cmds []redis.Cmder
	for _, feed := range f.feeds {
		for _, key := range []string{feed.since, feed.due} {
			line := []any{"zadd", key, "nx"}
			for _, id := range chatIDs {
				line = append(line, now, id)
			}
			cmds = append(cmds, redis.NewIntCmd(ctx, line...))
		}
	}
	if err := f.do(ctx, cmds...); err != nil {
		return err
	}
	if f.news != nil {
		if err := f.news.add(ctx, chatIDs); err != nil {
			return err
		}
	}
	if err := f.cfg.Logs.Forget(ctx, chatIDs); err != nil {
		return err
	}
	for _, feed := range f.feeds {
		feed.nudge()
	}
	return nil
}

func (f *Follower) do(ctx context.Context, cmds ...redis.Cmder) error {
	if err := f.cfg.DB.Do(ctx, cmds...); err != nil {
		return err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

// sweepLoop ends the chats that nobody else ends, and updates the metrics.
func (f *Follower) sweepLoop(ctx context.Context) {
	if f.cfg.DB.AwaitTime(ctx) != nil {
		return
	}
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := f.sweep(ctx); err != nil && ctx.Err() == nil {
			f.cfg.Log.Debug("cannot look for expired chats", "error", err)
		}
		for _, feed := range f.feeds {
			feed.measure(ctx)
			feed.nudge()
		}
		if f.news != nil {
			f.news.measure(ctx)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (f *Follower) sweep(ctx context.Context) error {
	for {
		ids, err := f.sweepSome(ctx)
		if err != nil || ids < sweepPiece {
			return err
		}
	}
}

func (f *Follower) sweepSome(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ids, err := f.cfg.Logs.Due(ctx, sweepPiece, lease)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	rest, err := f.End(ctx, ids)
	if err != nil {
		return 0, err
	}
	living := map[string]time.Duration{}
	for i, id := range ids {
		if rest[i] > 0 {
			living[id] = rest[i]
		}
	}
	return len(ids), f.cfg.Logs.Later(ctx, living)
}
