package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/redisdb"
)

const (
	// A connection on which nothing has come for pingAfter is asked for a sign of
	// life, and is dead if there is still none at deadAfter.
	pingAfter = 2 * time.Second
	deadAfter = 4 * time.Second
	lookEvery = 250 * time.Millisecond

	// maxChannels bounds one SUBSCRIBE or UNSUBSCRIBE.
	maxChannels = 1000
)

var errSilent = errors.New("broker: no answer on the subscriptions' connection")

// session makes a connection for the subscriptions and uses it until it fails.
func (b *Redis) session() error {
	listener, err := b.db.Listen(b.topics.ctx)
	if err != nil {
		return err
	}
	n := b.topics.connected()
	b.topics.setUp()
	b.log.Info("subscriptions connected", "topics", n)
	err = b.serve(listener)
	if b.topics.ctx.Err() == nil {
		b.log.Warn("subscriptions lost their connection", "err", err)
	}
	b.topics.setDown(err)
	b.topics.disconnected()
	return err
}

// serve uses a connection until it fails, and tells why. Its goroutine is the one
// that reads, so that Redis never has to wait for us.
func (b *Redis) serve(l *redisdb.Listener) error {
	ctx, fail := context.WithCancelCause(b.topics.ctx)
	var heard atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		fail(b.write(ctx, l, &heard))
		l.Close() // ends receive
	})
	fail(b.receive(l, &heard))
	writer.Wait()
	return context.Cause(ctx)
}

// write sends what the topics need, and watches whether anything is heard.
func (b *Redis) write(ctx context.Context, l *redisdb.Listener, heard *atomic.Bool) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var silence time.Duration
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.topics.wake:
			join, leave := b.topics.commands(maxChannels)
			if len(join) > 0 {
				if err := l.Subscribe(join...); err != nil {
					return err
				}
			}
			if len(leave) > 0 {
				if err := l.Unsubscribe(leave...); err != nil {
					return err
				}
			}
		case <-look.C:
			if heard.Swap(false) {
				silence = 0
				continue
			}
			silence += lookEvery
			switch {
			case silence >= deadAfter:
				return errSilent
			case silence == pingAfter:
				if err := l.Ping(); err != nil {
					return err
				}
			}
		}
	}
}

// receive takes everything that comes, until the connection fails.
func (b *Redis) receive(l *redisdb.Listener, heard *atomic.Bool) error {
	for {
		msg, err := l.Receive()
		if err != nil {
			return err
		}
		if !heard.Load() {
			heard.Store(true)
		}
		switch msg := msg.(type) {
		case *redis.Message:
			b.topics.deliver(msg.Channel, []byte(msg.Payload))
		case *redis.Subscription:
			switch msg.Kind {
			case "subscribe":
				b.topics.joined(msg.Channel, true)
			case "unsubscribe":
				b.topics.left(msg.Channel)
			}
		}
	}
}
