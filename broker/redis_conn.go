package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/redisdb"
)

const (
	// A connection that was silent for pingAfter is pinged, and counts as dead if it is still
	// silent at deadAfter.
	pingAfter = 2 * time.Second
	deadAfter = 4 * time.Second
	lookEvery = 250 * time.Millisecond

	// maxChannels bounds one SUBSCRIBE or UNSUBSCRIBE.
	maxChannels = 1000
)

var (
	errSilent   = errors.New("broker: no answer on the subscriptions' connection")
	errReplaced = errors.New("broker: Sentinel has replaced the server of the subscriptions")
)

// session makes a connection for all topics of ts, and uses it until it fails. The log calls the
// topics what.
func (b *Redis) session(ts *topics, what string) error {
	listener, err := b.db.Listen(ts.ctx)
	if err == nil {
		err = b.confirm(ts, listener)
	}
	if err != nil {
		if ts.ctx.Err() == nil {
			b.log.Warn("cannot connect for "+what, "error", err) // logged once a minute
		}
		return err
	}
	n := ts.connected()
	ts.setUp()
	b.log.Info(what+" connected", "topics", n)
	err = serve(ts, listener)
	if ts.ctx.Err() == nil {
		b.log.Warn(what+" lost their connection", "error", err)
	}
	ts.setDown(err)
	ts.disconnected()
	return err
}

// confirm checks that Redis allows its user to subscribe and publish on the channels, before the
// connection counts as ready.
func (b *Redis) confirm(ts *topics, l *redisdb.Listener) (err error) {
	users, chat := b.db.Key("users"), b.db.Key("chat:ready")
	defer func() {
		if err != nil {
			l.Close()
			err = fmt.Errorf("broker: the channels %s and %s*: %w", users, b.db.Key("chat:"), err)
		}
	}()
	if err := confirmChannels(ts, l, users, chat); err != nil {
		return err
	}
	// This waits for the store as long as a request would, because it may still be connecting.
	publish := redis.NewIntCmd(ts.ctx, "publish", chat, "")
	if err := b.db.Do(ts.ctx, publish); err != nil {
		return err
	}
	return publish.Err()
}

func confirmChannels(ts *topics, l *redisdb.Listener, channels ...string) error {
	ctx, cancel := context.WithTimeout(ts.ctx, deadAfter)
	defer cancel()
	defer context.AfterFunc(ctx, l.Close)()
	if err := l.Subscribe(channels...); err != nil {
		return err
	}
	if err := l.Unsubscribe(channels...); err != nil {
		return err
	}
	for confirmed := 0; confirmed < 2*len(channels); {
		msg, err := l.Receive()
		if err != nil {
			return orTimeout(ctx, err)
		}
		if _, ok := msg.(*redis.Subscription); ok {
			confirmed++
		}
	}
	return nil
}

// orTimeout returns err, or the cause of ctx if that has ended before.
func orTimeout(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errSilent
	}
	return err
}

// serve uses a connection until it fails, and returns the reason. Its goroutine reads, so that Redis
// never has to wait for this process.
func serve(ts *topics, l *redisdb.Listener) error {
	ctx, fail := context.WithCancelCause(ts.ctx)
	var heard atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		fail(write(ctx, ts, l, &heard))
		l.Close() // ends receive
	})
	fail(receive(ts, l, &heard))
	writer.Wait()
	return context.Cause(ctx)
}

// write sends subscriptions and unsubscriptions, and checks that the connection is not silent.
func write(ctx context.Context, ts *topics, l *redisdb.Listener, heard *atomic.Bool) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var silence time.Duration
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ts.wake:
			join, leave := ts.commands(maxChannels)
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
			if l.Replaced() {
				return errReplaced
			}
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

// receive handles everything that arrives until the connection fails.
func receive(ts *topics, l *redisdb.Listener, heard *atomic.Bool) error {
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
			ts.deliver(msg.Channel, []byte(msg.Payload))
		case *redis.Subscription:
			switch msg.Kind {
			case "subscribe":
				ts.joined(msg.Channel, true)
			case "unsubscribe":
				ts.left(msg.Channel)
			}
		}
	}
}
