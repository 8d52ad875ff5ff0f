package broker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"livesupport/broker/redisdb"
)

// Redis is the Broker on Redis pub/sub. Channels are called like topics.
//
// Publications go through the shared pipelines of the DB. All subscriptions share
// one connection; after it has been lost every topic gets a Gap, for Redis keeps
// nothing for those who are away.
type Redis struct {
	db     *redisdb.DB
	log    *slog.Logger
	topics *topics
}

// NewRedis returns a Broker on db, which must outlive it. It connects by itself:
// see Ready. log may be nil.
func NewRedis(db *redisdb.DB, log *slog.Logger) *Redis {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Redis{db: db, log: log, topics: newTopics()}
	b.topics.wg.Go(func() { b.topics.keep(b.session) })
	return b
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
	// A string, because Do may return before the pipeline is done with it.
	cmd := redis.NewIntCmd(ctx, "publish", topic, string(payload))
	err := b.db.Do(ctx, cmd)
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		return fmt.Errorf("broker: publish: %w", err)
	}
	return nil
}

// Subscribe implements Broker.
func (b *Redis) Subscribe(ctx context.Context, topic string, h Handler) (Subscription, error) {
	return b.topics.subscribe(ctx, topic, h)
}

// Ready implements Broker.
func (b *Redis) Ready() error {
	if err := b.topics.err(); err != nil {
		return err
	}
	return b.db.Ready()
}

// Metrics are the Broker's figures, to be registered once.
func (b *Redis) Metrics() []prometheus.Collector { return b.topics.metrics.collectors() }

// Close implements Broker. It does not close the DB.
func (b *Redis) Close() error {
	b.topics.close()
	return nil
}
