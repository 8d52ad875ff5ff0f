package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"livesupport/broker/redisdb"
)

// Redis is the Broker on Redis pub/sub. The name of a channel is the topic with the prefix of the DB.
//
// Publications go through the shared pipelines of the DB. All subscriptions share one connection.
// After a lost connection every topic gets a Gap, because Redis stores no messages for subscribers.
//
// Signals have their own channels and pipelines, and another connection for listeners, so that
// signals never delay events.
//
// On a Redis Cluster the topics of chats are sharded channels (SPUBLISH, SSUBSCRIBE; Redis 7): a
// publication stays in the shard of the chat's own slot, where an ordinary one goes to every node. The
// channel of "chat:1" is "chat:{1}", the name of the chat's key. There is one connection for each master
// that has any of the topics, and one for "users", whose channel stays an ordinary one. A topic whose slot
// moves to another node, or whose master fails, is subscribed to on the new master and gets a Gap.
type Redis struct {
	db     *redisdb.DB
	log    *slog.Logger
	topics *topics
	events *sharding

	signals   *topics
	passing   *sharding // of signals
	outbox    outbox
	listening chan struct{} // closed by the first Listen
	listens   func()        // closes it
}

// signalChannels is the prefix of the channels of signals. No topic begins with it.
const signalChannels = "signal:"

// NewRedis returns a Broker on db, which must outlive it. It connects in the background, see Ready.
// log may be nil.
func NewRedis(db *redisdb.DB, log *slog.Logger) *Redis {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Redis{db: db, log: log, topics: newTopics(), signals: newTopics(), listening: make(chan struct{})}
	b.listens = sync.OnceFunc(func() { close(b.listening) })
	b.signals.metrics = b.topics.metrics.ofSignals()
	b.outbox = outbox{send: b.sendSignals, ctx: b.topics.ctx, wg: &b.topics.wg, metrics: &b.topics.metrics}
	b.events = newSharding(b, b.topics, db.Key(chatTopics), "subscriptions")
	b.serve(b.events)
	b.passing = newSharding(b, b.signals, db.Key(signalChannels+chatTopics), "signals")
	b.signals.wg.Go(func() {
		select {
		case <-b.listening:
			b.serve(b.passing)
		case <-b.signals.ctx.Done():
		}
	})
	return b
}

// serve starts the goroutines for topics.
func (b *Redis) serve(s *sharding) {
	s.ts.wg.Go(func() { s.ts.keep(func() error { return b.session(&s.ts.line, s.what) }) })
	s.ts.wg.Go(s.place)
}

// Publish implements Broker. Without a deadline in ctx it gives up after 5 s.
func (b *Redis) Publish(ctx context.Context, topic string, payload []byte) error {
	began := time.Now()
	err := b.publish(ctx, topic, payload)
	b.topics.metrics.published(began, err)
	return err
}

func (b *Redis) publish(ctx context.Context, topic string, payload []byte) error {
	switch {
	case b.topics.ctx.Err() != nil:
		return ErrClosed
	case len(payload) > MaxPayload:
		return ErrTooLarge
	}
	if err := b.db.Ready(); err != nil {
		return fmt.Errorf("broker: publish: %w", err)
	}
	// A string, because Do may return before the pipeline has used it.
	cmd := b.publication(ctx, b.events, b.db.Key(topic), string(payload))
	err := b.db.Do(ctx, cmd)
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		return fmt.Errorf("broker: publish: %w", err)
	}
	return nil
}

// publication returns the command that publishes a payload on one of the topics of s.
func (b *Redis) publication(ctx context.Context, s *sharding, name string, payload any) *redis.IntCmd {
	line := []any{"publish", name, payload}
	if s.ts.sharded(name) {
		line = []any{"spublish", s.channel(name), payload}
	}
	cmd := redis.NewIntCmd(ctx, line...)
	cmd.SetFirstKeyPos(1) // the channel: all publications on it go to the same node, in order
	return cmd
}

// Subscribe implements Broker.
func (b *Redis) Subscribe(ctx context.Context, topic string, h Handler) (Subscription, error) {
	return b.topics.subscribe(ctx, b.db.Key(topic), h)
}

// Signal implements Broker.
func (b *Redis) Signal(topic string, payload []byte) error {
	switch {
	case b.topics.ctx.Err() != nil:
		return ErrClosed
	case len(payload) > MaxSignal:
		return ErrTooLarge
	}
	if err := b.db.Ready(); err != nil {
		b.topics.metrics.signalsDropped.Inc()
		return fmt.Errorf("broker: signal: %w", err)
	}
	return b.outbox.put(topic, payload)
}

func (b *Redis) sendSignals(ctx context.Context, batch []signal) error {
	cmds := make([]redis.Cmder, len(batch))
	for i, s := range batch {
		cmds[i] = b.publication(ctx, b.passing, b.db.Key(signalChannels+s.topic), s.payload)
	}
	return b.db.Once(ctx, cmds...)
}

// Listen implements Broker.
func (b *Redis) Listen(topic string, f func(payload []byte), stands func()) Subscription {
	b.listens()
	return b.signals.listen(b.db.Key(signalChannels+topic), f, stands)
}

// Ready implements Broker.
func (b *Redis) Ready() error {
	err := b.topics.err()
	if down := b.db.Ready(); down != nil && !errors.Is(err, ErrClosed) {
		return down
	}
	return err
}

// Metrics returns the Broker's metrics. Register them once.
func (b *Redis) Metrics() []prometheus.Collector { return b.topics.metrics.collectors() }

// Close implements Broker. It does not close the DB.
func (b *Redis) Close() error {
	b.outbox.close()
	b.signals.close()
	b.topics.close()
	return nil
}
