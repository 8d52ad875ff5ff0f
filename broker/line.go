package broker

import (
	"context"
	"math/rand/v2"
	"time"

	"livesupport/broker/redisdb"
)

// Pauses between attempts to connect, plus or minus half of them.
const (
	minPause = 20 * time.Millisecond
	maxPause = 600 * time.Millisecond
	// After a connection that lasted for steady, the pause is the shortest one.
	steady = 4 * time.Second
)

// line is a connection of topics: it is made again and again, and has what is to be done on it.
type line struct {
	topics *topics
	ctx    context.Context // ends with the line
	cancel context.CancelFunc
	wake   chan struct{} // signals that todo is not empty

	// of a line to a shard
	sharding *sharding
	node     redisdb.Node

	// guarded by topics.mu
	online bool      // there is a connection
	count  int       // topics on the line
	todo   []*topic  // topics that may need a command on the connection
	asked  bool      // subscriptions have been requested since one was refused
	empty  time.Time // since when the line was seen without topics; see idle
}

func newLine(ts *topics, parent context.Context) line {
	l := line{topics: ts, wake: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(parent)
	return l
}

// keep calls session again and again until the line ends. session uses a connection until it fails, and
// returns the reason.
func (l *line) keep(session func() error) {
	pause := minPause
	for l.ctx.Err() == nil {
		since := time.Now()
		l.setDown(session())
		if time.Since(since) > steady {
			pause = minPause
		}
		select {
		case <-l.ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, maxPause)
	}
}

// setDown records why the line has no connection, unless it is no longer needed.
func (l *line) setDown(err error) {
	if l.ctx.Err() != nil {
		return
	}
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	l.topics.failing[l] = err
	l.topics.failed()
}

func (l *line) setUp() {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	l.topics.metrics.connects.Inc()
	delete(l.topics.failing, l)
	l.topics.failed()
}

// failed records whether a line has no connection. The caller holds ts.mu.
func (ts *topics) failed() {
	for _, err := range ts.failing {
		ts.failure.Store(&err)
		ts.metrics.up.Set(0)
		return
	}
	ts.failure.Store(nil)
	ts.metrics.up.Set(1)
}

// connected schedules a subscription to every topic of the line on a new connection, and returns their
// number.
func (l *line) connected() (n int) {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	l.online = true
	for _, t := range l.topics.byName {
		if t.line == l {
			n++
			l.topics.attend(t)
		}
	}
	return n
}

// disconnected resets the state of a lost connection.
func (l *line) disconnected() {
	ts := l.topics
	ts.mu.Lock()
	defer ts.mu.Unlock()
	l.online, l.todo = false, nil
	for _, t := range ts.byName {
		if t.line == l {
			t.queued = false
			ts.turnOff(t)
		}
	}
}

// turnOff records that t is not subscribed. The caller holds ts.mu.
func (ts *topics) turnOff(t *topic) {
	t.state = off
	if len(t.subs) == 0 {
		ts.remove(t)
	}
}

func (l *line) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// commands returns the next topics to subscribe to and to unsubscribe from, at most limit.
func (l *line) commands(limit int) (join, leave []string) {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	n := min(len(l.todo), limit)
	l.asked = l.asked || n > 0
	for _, t := range l.todo[:n] {
		if t.line != l {
			continue // it has been moved
		}
		t.queued = false
		switch {
		case t.state == off && len(t.subs) > 0:
			t.state = subscribing
			join = append(join, t.name)
		case t.state == on && len(t.subs) == 0:
			t.state = unsubscribing
			leave = append(leave, t.name)
		}
	}
	clear(l.todo[:n])
	if l.todo = l.todo[n:]; len(l.todo) > 0 {
		l.wakeUp()
	}
	return join, leave
}

// joined confirms a subscription. With gap, subscriptions that were established on a former connection
// get a Gap.
func (l *line) joined(name string, gap bool) {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	if t := l.has(name); t != nil && t.state == subscribing {
		l.topics.stand(t, gap)
	}
}

// left confirms the end of a subscription.
func (l *line) left(name string) {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	t := l.has(name)
	if t == nil || t.state != unsubscribing {
		return
	}
	l.topics.turnOff(t)
	if len(t.subs) > 0 {
		l.topics.attend(t)
	}
}

// deliver passes a payload on, with a copy for each subscription.
func (l *line) deliver(name string, payload []byte) {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	if t := l.has(name); t != nil {
		t.deliver(payload)
	}
}

// has returns the topic if it is on the line. The caller holds topics.mu.
func (l *line) has(name string) *topic {
	if t := l.topics.byName[name]; t != nil && t.line == l {
		return t
	}
	return nil
}
