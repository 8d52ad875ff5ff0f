package redisdb

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Listener is one connection for pub/sub. Unlike go-redis's PubSub it never reconnects: after a
// failure it cannot be used any longer, so its owner knows exactly when messages may have been lost.
//
// Only one goroutine may call Receive. The other methods are safe for concurrent use.
type Listener struct {
	db     *DB
	seal   *seal
	pubsub *redis.PubSub
	shard  bool // of a Cluster: its channels are sharded
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
}

// Listen connects to a node, within 6 s. From a node of Home the Listener gets sharded channels, from the
// zero Node ordinary ones. It must be closed before the DB.
func (db *DB) Listen(ctx context.Context, node Node) (*Listener, error) {
	if db.ctx.Err() != nil {
		return nil, ErrClosed
	}
	once := new(seal)
	dial := context.WithValue(ctx, sealed{}, once)
	dial, cancelDial := context.WithTimeout(dial, connectTimeout)
	defer cancelDial()
	l := &Listener{db: db, seal: once, shard: node.client != nil}
	if l.shard {
		l.pubsub = node.client.Subscribe(dial)
	} else {
		l.pubsub = db.Client().Subscribe(dial)
	}
	err := l.pubsub.Ping(dial) // connects
	once.closed.Store(true)
	if err != nil {
		_ = l.pubsub.Close()
		return nil, fmt.Errorf("redis: %w", err)
	}
	l.ctx, l.cancel = context.WithCancel(context.WithValue(db.ctx, sealed{}, once))
	return l, nil
}

// Subscribe subscribes to channels, if any. Receive returns a *redis.Subscription for each, or an error
// for which Elsewhere is true. Writing takes at most 2.5 s.
func (l *Listener) Subscribe(channels ...string) error {
	return l.each(channels, l.pubsub.Subscribe, l.pubsub.SSubscribe)
}

// Unsubscribe unsubscribes from channels, if any. It is confirmed in the same way. The server of a shard
// may do it by itself, when the slot of a channel leaves it.
func (l *Listener) Unsubscribe(channels ...string) error {
	return l.each(channels, l.pubsub.Unsubscribe, l.pubsub.SUnsubscribe)
}

// each calls f with all the channels, or sharded with one after the other, because a command may only
// have channels of one slot.
func (l *Listener) each(channels []string, f, sharded func(context.Context, ...string) error) error {
	switch {
	case len(channels) == 0:
		return nil
	case !l.shard:
		return l.failed(f(l.ctx, channels...))
	}
	for _, channel := range channels {
		if err := sharded(l.ctx, channel); err != nil {
			return l.failed(err)
		}
	}
	return nil
}

// Ping sends a ping, which Receive answers with a *redis.Pong.
func (l *Listener) Ping() error { return l.failed(l.pubsub.Ping(l.ctx)) }

// Replaced reports whether a Sentinel group has another primary by now than the server that the
// Listener is connected to, which may go on as if nothing had happened for ten seconds.
func (l *Listener) Replaced() bool {
	primary, ok := l.db.primary.Load().(string)
	return ok && primary != l.seal.addr.Load()
}

// Receive waits for a *redis.Message, *redis.Subscription or *redis.Pong. After an error or Close,
// nothing more arrives.
func (l *Listener) Receive() (any, error) {
	msg, err := l.pubsub.ReceiveTimeout(l.ctx, 0)
	return msg, l.failed(err)
}

// Close ends the connection and a waiting Receive.
func (l *Listener) Close() {
	l.once.Do(func() {
		l.cancel()
		_ = l.pubsub.Close() // an error changes nothing
	})
}

func (l *Listener) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.ErrClosed) || l.ctx.Err() != nil:
		return ErrClosed
	}
	return fmt.Errorf("redis: %w", err)
}
