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

// session makes a connection for the topics of a line, and uses it until it fails. The log calls the
// topics what.
func (b *Redis) session(l *line, what string) error {
	if err := b.db.AwaitTime(l.ctx); err != nil { // until then it is not known whether the store is a Cluster
		return err
	}
	listener, err := b.db.Listen(l.ctx, l.node)
	if err == nil && l.sharding == nil {
		err = b.confirm(l, listener)
	}
	if err != nil {
		if l.ctx.Err() == nil {
			b.log.Warn("cannot connect for "+what, "error", err) // logged once a minute
		}
		return err
	}
	n := l.connected()
	l.setUp()
	b.log.Info(what+" connected", "topics", n)
	err = serve(l, listener)
	if l.ctx.Err() == nil {
		b.log.Warn(what+" lost their connection", "error", err)
	}
	l.setDown(err)
	l.disconnected()
	return err
}

// confirm checks that Redis allows its user to subscribe and publish on the channels, before the
// connection counts as ready.
func (b *Redis) confirm(l *line, listener *redisdb.Listener) (err error) {
	users, chat := b.db.Key("users"), b.db.Key(chatTopics+"ready")
	defer func() {
		if err != nil {
			listener.Close()
			err = fmt.Errorf("broker: the channels %s and %s*: %w", users, b.db.Key(chatTopics), err)
		}
	}()
	if b.db.Cluster() {
		l.topics.survey() // what has been subscribed to so far
		if err := confirmChannels(l.ctx, listener, users); err != nil {
			return err
		}
		if err := b.confirmShard(l.ctx, b.events.channel(chat)); err != nil {
			return err
		}
	} else if err := confirmChannels(l.ctx, listener, users, chat); err != nil {
		return err
	}
	// This waits for the store as long as a request would, because it may still be connecting.
	publish := b.publication(l.ctx, b.events, chat, "")
	if err := b.db.Do(l.ctx, publish); err != nil {
		return err
	}
	return publish.Err()
}

// confirmShard checks the same of sharded channels.
func (b *Redis) confirmShard(ctx context.Context, channel string) error {
	node, err := b.db.Home(ctx, channel)
	if err != nil {
		return err
	}
	listener, err := b.db.Listen(ctx, node)
	if err != nil {
		return err
	}
	defer listener.Close()
	return confirmChannels(ctx, listener, channel)
}

func confirmChannels(ctx context.Context, l *redisdb.Listener, channels ...string) error {
	ctx, cancel := context.WithTimeout(ctx, deadAfter)
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
func serve(l *line, listener *redisdb.Listener) error {
	ctx, fail := context.WithCancelCause(l.ctx)
	var heard atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		fail(write(ctx, l, listener, &heard))
		listener.Close() // ends receive
	})
	fail(receive(l, listener, &heard))
	writer.Wait()
	return context.Cause(ctx)
}

// write sends subscriptions and unsubscriptions, and checks that the connection is not silent.
func write(ctx context.Context, l *line, listener *redisdb.Listener, heard *atomic.Bool) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var silence time.Duration
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.wake:
			join, leave := l.commands(maxChannels)
			if err := listener.Subscribe(l.channels(join)...); err != nil {
				return err
			}
			if err := listener.Unsubscribe(l.channels(leave)...); err != nil {
				return err
			}
		case <-look.C:
			if listener.Replaced() {
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
				if err := listener.Ping(); err != nil {
					return err
				}
			}
		}
	}
}

// receive handles everything that arrives until the connection fails.
func receive(l *line, listener *redisdb.Listener, heard *atomic.Bool) error {
	for {
		msg, err := listener.Receive()
		if err != nil && !redisdb.Elsewhere(err) {
			return err
		}
		if !heard.Load() {
			heard.Store(true)
		}
		if err != nil {
			l.refused()
			continue
		}
		switch msg := msg.(type) {
		case *redis.Message:
			l.deliver(l.topicOf(msg.Channel), []byte(msg.Payload))
		case *redis.Subscription:
			switch name := l.topicOf(msg.Channel); msg.Kind {
			case "subscribe", "ssubscribe":
				l.joined(name, true)
			case "sunsubscribe":
				l.revoked(name)
				l.left(name)
			case "unsubscribe":
				l.left(name)
			}
		}
	}
}

// channels replaces the names of topics by their channels on the line.
func (l *line) channels(names []string) []string {
	if l.sharding != nil {
		for i, name := range names {
			names[i] = l.sharding.channel(name)
		}
	}
	return names
}

// topicOf is the topic of a channel of the line.
func (l *line) topicOf(channel string) string {
	if l.sharding != nil {
		return l.sharding.name(channel)
	}
	return channel
}
