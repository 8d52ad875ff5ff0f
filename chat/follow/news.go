package follow

import (
	"context"
	"slices"
	"strconv"
	"time"

	"livesupport/chat/log"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

const (
	// lookEvery is how often one process checks all live chats for entries that were not
	// reported because the server that appended them has died.
	lookEvery = 10 * time.Second
	// lookPause is the pause between two pieces of that check, so that it costs the store
	// little even with many chats.
	lookPause = 250 * time.Millisecond
	// lastNews bounds the remaining work at Close.
	lastNews = time.Second
	// cursorSlack is how much longer than a log its cursors are kept.
	cursorSlack = time.Hour
)

// news finds chats with unreported entries, and puts them on the listeners' lists of due chats.
type news struct {
	*Follower
	metrics newsMetrics
	names   []any     // of the listeners
	renewed time.Time // when the life of all cursors was last extended
}

// newsMetrics are the metrics of all listeners together. Their names say webhook because that
// is what the listeners are.
type newsMetrics struct {
	waiting         prometheus.Gauge
	dropped, errors prometheus.Counter
	delay           prometheus.Histogram
}

func newNews(f *Follower) *news {
	return &news{Follower: f, metrics: newsMetrics{
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "livesupport_webhook_waiting", Help: "Chats with outstanding events, counted for each receiver."}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "livesupport_webhook_dropped_total", Help: "Events that were dropped because a receiver did not accept them in time."}),
		errors:  prometheus.NewCounter(prometheus.CounterOpts{Name: "livesupport_webhook_errors_total", Help: "Failed tries to send an event."}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "livesupport_webhook_seconds", Help: "Time from an event to its acceptance by a receiver.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600},
		}),
	}}
}

// Appended reports new entries in a chat's log. It does not block, and costs the same for one
// entry as for many. Without listeners it does nothing.
func (f *Follower) Appended(chatID string) {
	for _, t := range f.tails {
		t.told.appended(chatID)
	}
}

// keep returns for how many milliseconds the cursors of an unchanged log are kept.
func (f *Follower) keep() int64 {
	return (f.cfg.Logs.TTL() + f.cfg.Logs.Grace() + cursorSlack).Milliseconds()
}

// add puts chats on the lists, even chats that told knows to be there.
func (n *news) add(ctx context.Context, chatIDs []string) error {
	var cmds []redis.Cmder
	for _, t := range n.tails {
		for some := range slices.Chunk(chatIDs, sweepPiece) {
			cmds = append(cmds, log.AddDue(ctx, t.due, n.cfg.DB.Now().UnixMilli(), some))
		}
	}
	if err := n.do(ctx, cmds...); err != nil {
		return err
	}
	for _, t := range n.tails {
		t.nudge()
	}
	return nil
}

// lookLoop finds entries that nobody has reported.
func (n *news) lookLoop(ctx context.Context) {
	if n.cfg.DB.AwaitTime(ctx) != nil {
		return
	}
	for ctx.Err() == nil {
		if n.myTurn(ctx) {
			if err := n.look(ctx); err != nil && ctx.Err() == nil {
				n.cfg.Log.Debug("cannot check chats for news", "error", err)
			}
		}
		pause(ctx, sweepEvery)
	}
}

// myTurn reports whether it is this process's turn to check.
func (n *news) myTurn(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	key := n.cfg.DB.Key("chat:{follow}:look")
	if n.do(ctx, redis.NewIntCmd(ctx, "zadd", key, "nx", 0, "all")) != nil {
		return false
	}
	turn, _, err := log.TakeDue(ctx, n.cfg.DB, key, 1, lookEvery)
	_ = n.do(ctx, redis.NewBoolCmd(ctx, "pexpire", key, cursorSlack.Milliseconds()))
	return err == nil && len(turn) > 0
}

func (n *news) look(ctx context.Context) error {
	began := time.Now()
	renew := began.Sub(n.renewed) > cursorSlack/4
	err := n.cfg.Logs.Living(ctx, func(chatIDs []string) error {
		defer pause(ctx, lookPause)
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		behind, err := n.behind(ctx, chatIDs, renew)
		if err != nil || len(behind) == 0 {
			return err
		}
		return n.add(ctx, behind)
	})
	if err == nil && renew {
		n.renewed = began
	}
	return err
}

// behind returns those of the chats with entries that a listener does not have. With renew it
// extends the life of the chats' cursors.
func (n *news) behind(ctx context.Context, chatIDs []string, renew bool) ([]string, error) {
	var cmds, renewals []redis.Cmder
	for _, id := range chatIDs {
		cursors := []any{"hmget", n.cursorKey(id)}
		for _, t := range n.tails {
			cursors = append(cursors, t.listener.Name())
		}
		cmds = append(cmds, redis.NewIntCmd(ctx, "llen", n.cfg.Logs.Key(id)), redis.NewSliceCmd(ctx, cursors...))
		if renew {
			renewals = append(renewals, redis.NewBoolCmd(ctx, "pexpire", n.cursorKey(id), n.keep()))
		}
	}
	if len(cmds) == 0 {
		return nil, nil
	}
	if err := n.do(ctx, append(cmds, renewals...)...); err != nil {
		return nil, err
	}
	var behind []string
	for i, id := range chatIDs {
		size := cmds[2*i].(*redis.IntCmd).Val()
		for _, cursor := range cmds[2*i+1].(*redis.SliceCmd).Val() {
			if size > 0 && number(cursor) != size { // more, if the store has lost the end of the log
				behind = append(behind, id)
				break
			}
		}
	}
	return behind, nil
}

// number returns the value of a hash's field, 0 if there is none.
func number(field any) int64 {
	text, _ := field.(string)
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// measure updates the metric of waiting chats, and exchanges with the other processes which
// listeners can be reached.
func (n *news) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var cmds []redis.Cmder
	ends := make([]int, len(n.tails))
	for i, t := range n.tails {
		cmds = append(cmds, t.measured(ctx)...)
		ends[i] = len(cmds)
	}
	if n.do(ctx, cmds...) != nil {
		return
	}
	waiting, begin := int64(0), 0
	for i, t := range n.tails {
		waiting += cmds[begin].(*redis.IntCmd).Val()
		if t.standing.heard(cmds[begin:ends[i]], n.cfg.DB.Now()) {
			t.told.again()
		}
		begin = ends[i]
	}
	n.metrics.waiting.Set(float64(waiting))
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
