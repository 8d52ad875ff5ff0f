package follow

import (
	"context"
	"errors"
	"time"

	"livesupport/broker/redisdb"
	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// feed is the outstanding chats of one receiver: two sorted sets in the store.
type feed struct {
	*Follower
	receiver   Receiver
	since, due string        // ordered by the end of the chat; by the time of the next try
	more       chan struct{} // signals that there may be work; capacity 1
	away       bool          // the receiver was unavailable at the last try
	metrics    feedMetrics
}

type feedMetrics struct {
	waiting, oldest prometheus.Gauge
	errors, taken   prometheus.Counter
}

func newFeed(f *Follower, r Receiver) *feed {
	name := "livesupport_" + r.Name()
	return &feed{
		Follower: f, receiver: r, more: make(chan struct{}, 1),
		since: f.cfg.DB.Key("chat:{follow}:" + r.Name() + ":since"),
		due:   f.cfg.DB.Key("chat:{follow}:" + r.Name() + ":due"),
		metrics: feedMetrics{
			waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: name + "_waiting", Help: "Ended chats that wait in the store for this receiver."}),
			oldest:  prometheus.NewGauge(prometheus.GaugeOpts{Name: name + "_oldest_seconds", Help: "How long the oldest of them has waited."}),
			errors:  prometheus.NewCounter(prometheus.CounterOpts{Name: name + "_errors_total", Help: "Failed attempts."}),
			taken:   prometheus.NewCounter(prometheus.CounterOpts{Name: name + "_taken_total", Help: "Ended chats that this process has handed over to the receiver."}),
		},
	}
}

// nudge makes the feed check for work at once.
func (f *feed) nudge() {
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// measure updates the metrics of waiting chats.
func (f *feed) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	waiting := redis.NewIntCmd(ctx, "zcard", f.since)
	oldest := redis.NewZSliceCmd(ctx, "zrange", f.since, 0, 0, "withscores")
	if f.do(ctx, waiting, oldest) != nil {
		return
	}
	age := 0.0
	if first := oldest.Val(); len(first) > 0 {
		age = max(0, float64(f.cfg.DB.Now().UnixMilli())-first[0].Score) / 1000
	}
	f.metrics.waiting.Set(float64(waiting.Val()))
	f.metrics.oldest.Set(age)
}

func (f *feed) run(ctx context.Context) {
	if f.cfg.DB.AwaitTime(ctx) != nil {
		return
	}
	for {
		select {
		case <-f.more:
		case <-ctx.Done():
			return
		}
		for {
			n, err := f.some(ctx)
			if err != nil && ctx.Err() == nil && !errors.Is(err, ErrAway) {
				f.cfg.Log.Debug("cannot hand over ended chats", "to", f.receiver.Name(), "error", err)
			}
			if err != nil || n < feedPiece {
				break
			}
		}
	}
}

// some leases due chats and hands them over. It returns how many there were.
func (f *feed) some(ctx context.Context) (int, error) {
	attempt, cancel := context.WithTimeout(ctx, storeTimeout)
	ids, _, err := log.TakeDue(attempt, f.cfg.DB, f.due, feedPiece, lease)
	cancel()
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	until := time.Now().Add(lease)
	all := len(ids)
	for len(ids) > 0 {
		if time.Until(until) < lease-time.Second {
			if err := f.putOff(ctx, ids, lease); err != nil {
				return 0, err
			}
			until = time.Now().Add(lease)
		}
		logs, n, err := f.read(ctx, ids)
		if err != nil {
			return 0, err
		}
		taken, err := f.take(ctx, logs)
		if err != nil {
			if errors.Is(err, ErrAway) { // another process may reach the receiver
				_ = f.putOff(ctx, ids, sweepEvery)
			}
			return 0, err
		}
		gone := without(ids[:n], logs)
		if err := f.finish(ctx, taken, gone); err != nil {
			return 0, err
		}
		ids = ids[n:]
	}
	return all, nil
}

// without returns the ids that have no log in logs.
func without(ids []string, logs []Log) []string {
	has := map[string]bool{}
	for _, l := range logs {
		has[l.ChatID] = true
	}
	var rest []string
	for _, id := range ids {
		if !has[id] {
			rest = append(rest, id)
		}
	}
	return rest
}

// read reads the logs of the first of these chats, as many as can be handed over together, and
// returns the number of chats. Some logs may be gone.
func (f *feed) read(ctx context.Context, ids []string) (logs []Log, n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	sizes := make([]redis.Cmder, len(ids))
	for i, id := range ids {
		sizes[i] = redis.NewIntCmd(ctx, "llen", f.cfg.Logs.EndedKey(id))
	}
	if err := f.do(ctx, sizes...); err != nil {
		return nil, 0, err
	}
	var cmds []redis.Cmder
	total := int64(0)
	for n < len(ids) {
		size := sizes[n].(*redis.IntCmd).Val()
		if total += size; n > 0 && total > maxEntries {
			break
		}
		if size > 0 {
			logs = append(logs, Log{ChatID: ids[n]})
			cmds = append(cmds, redis.NewStringSliceCmd(ctx, "lrange", f.cfg.Logs.EndedKey(ids[n]), 0, maxEntries-1))
		}
		n++
	}
	if err := f.do(ctx, cmds...); err != nil {
		return nil, 0, err
	}
	for i := range logs {
		logs[i].Entries = cmds[i].(*redis.StringSliceCmd).Val()
	}
	if total > maxEntries && len(logs) == 1 {
		return logs, n, f.readRest(ctx, &logs[0])
	}
	return logs, n, nil
}

// readRest reads the rest of a long log, piece by piece.
func (f *feed) readRest(ctx context.Context, l *Log) error {
	for {
		have := len(l.Entries)
		piece := redis.NewStringSliceCmd(ctx, "lrange", f.cfg.Logs.EndedKey(l.ChatID), have, have+maxEntries-1)
		if err := f.do(ctx, piece); err != nil {
			return err
		}
		if l.Entries = append(l.Entries, piece.Val()...); len(piece.Val()) < maxEntries {
			return nil
		}
	}
}

// take hands logs over and returns the chats that the receiver has now. It puts off a log that
// the receiver refuses, for longer each time.
func (f *feed) take(ctx context.Context, logs []Log) (taken []string, err error) {
	if len(logs) == 0 {
		return nil, nil
	}
	err = f.handOver(ctx, logs)
	switch {
	case err == nil:
		f.back()
		for _, l := range logs {
			taken = append(taken, l.ChatID)
		}
		return taken, nil
	case ctx.Err() != nil:
		return nil, err
	case errors.Is(err, ErrAway):
		f.metrics.errors.Inc()
		if !f.away {
			f.away = true
			f.cfg.Log.Warn("ended chats have to wait in the store", "for", f.receiver.Name(), "error", err)
		}
		return nil, err
	case len(logs) == 1:
		f.metrics.errors.Inc()
		f.cfg.Log.Warn("an ended chat was refused", "by", f.receiver.Name(), "chat", wire.ShortID(logs[0].ChatID), "error", err)
		return nil, f.putOffLonger(ctx, logs[0].ChatID)
	}
	for i := range logs {
		one, err := f.take(ctx, logs[i:i+1])
		if err != nil {
			return nil, err
		}
		taken = append(taken, one...)
	}
	return taken, nil
}

func (f *feed) back() {
	if f.away {
		f.away = false
		f.cfg.Log.Info("ended chats are accepted again", "by", f.receiver.Name())
	}
}

func (f *feed) handOver(ctx context.Context, logs []Log) error {
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	return f.receiver.Take(ctx, logs)
}

// putOff makes the feed try chats again after d.
func (f *feed) putOff(ctx context.Context, chatIDs []string, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	line := []any{"zadd", f.due, "xx"}
	for _, id := range chatIDs {
		line = append(line, f.cfg.DB.Now().Add(d).UnixMilli(), id)
	}
	return f.do(ctx, redis.NewIntCmd(ctx, line...))
}

// longestPause is the maximum pause before the next try of a refused chat.
const longestPause = 8 * time.Second

// putOffLonger makes the feed try a chat again after as long as it has already waited, within
// bounds.
func (f *feed) putOffLonger(ctx context.Context, chatID string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	since := redis.NewFloatCmd(ctx, "zscore", f.since, chatID)
	if err := f.do(ctx, since); err != nil {
		return err
	}
	waited := time.Duration(float64(f.cfg.DB.Now().UnixMilli())-since.Val()) * time.Millisecond
	return f.putOff(ctx, []string{chatID}, min(max(waited, sweepEvery), longestPause))
}

// finish removes the chats from the list, and deletes the logs that all receivers have.
func (f *feed) finish(ctx context.Context, taken, gone []string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	cmds := make([]redis.Cmder, 0, len(taken))
	for _, id := range taken {
		if len(f.names) == 1 {
			cmds = append(cmds, redis.NewIntCmd(ctx, "del", f.cfg.Logs.EndedKey(id)))
			continue
		}
		cmds = append(cmds, f.finished(ctx, id, f.receiver.Name(), f.names))
	}
	if len(cmds) > 0 {
		if err := f.do(ctx, cmds...); err != nil {
			return err
		}
	}
	f.metrics.taken.Add(float64(len(taken)))
	if err := f.cfg.Logs.EndAgain(ctx, gone, lease); err != nil { // when they are off the list
		return err
	}
	rem := []any{"zrem", ""}
	for _, id := range append(taken, gone...) {
		rem = append(rem, id)
	}
	if len(rem) == 2 {
		return nil
	}
	due, since := append([]any{}, rem...), rem
	due[1], since[1] = f.due, f.since
	return f.do(ctx, redis.NewIntCmd(ctx, since...), redis.NewIntCmd(ctx, due...))
}

// finished records that a receiver has the whole log of an ended chat, and deletes the log once
// all receivers have it.
func (f *Follower) finished(ctx context.Context, chatID, name string, all []any) redis.Cmder {
	line := finishScript.Line(2, f.cursorKey(chatID), f.cfg.Logs.EndedKey(chatID), name)
	return redis.NewCmd(ctx, append(line, all...)...)
}

// cursorKey returns the key that records how far each receiver is with a chat.
func (f *Follower) cursorKey(chatID string) string { return f.cfg.Logs.Key(chatID) + ":cursors" }

// finishScript records that a receiver has the whole log. KEYS: cursors, log. ARGV: the
// receiver, and all receivers.
var finishScript = redisdb.NewScript(`
local size = redis.call('llen', KEYS[2])
if size == 0 then return 1 end
redis.call('hset', KEYS[1], ARGV[1], size, ARGV[1] .. ':ended', 1)
redis.call('pexpire', KEYS[1], redis.call('pttl', KEYS[2]))
for i = 2, #ARGV do
  if redis.call('hexists', KEYS[1], ARGV[i] .. ':ended') == 0 then return 0 end
end
redis.call('del', KEYS[1], KEYS[2])
return 1`)
