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
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
}

// Listen connects, within 6 s. The Listener must be closed before the DB.
func (db *DB) Listen(ctx context.Context) (*Listener, error) {
	if db.ctx.Err() != nil {
		return nil, ErrClosed
	}
	once := new(seal)
	dial := context.WithValue(ctx, sealed{}, once)
	dial, cancelDial := context.WithTimeout(dial, connectTimeout)
	defer cancelDial()
	l := &Listener{db: db, seal: once, pubsub: db.client.Subscribe(dial)}
	err := l.pubsub.Ping(dial) // connects
	once.closed.Store(true)
	if err != nil {
		_ = l.pubsub.Close()
		return nil, fmt.Errorf("redis: %w", err)
	}
	l.ctx, l.cancel = context.WithCancel(context.WithValue(db.ctx, sealed{}, once))
	return l, nil
}

// Subscribe subscribes to channels. Receive returns a *redis.Subscription for each. Writing takes at
// most 2.5 s.
func (l *Listener) Subscribe(channels ...string) error {
	return l.failed(l.pubsub.Subscribe(l.ctx, channels...))
}

// Unsubscribe unsubscribes from channels.
func (l *Listener) Unsubscribe(channels ...string) error {
	return l.failed(l.pubsub.Unsubscribe(l.ctx, channels...))
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
