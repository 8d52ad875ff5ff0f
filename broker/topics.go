package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Pauses between attempts to connect, plus or minus half of them.
const (
	minPause = 20 * time.Millisecond
	maxPause = 600 * time.Millisecond
	// After a connection that lasted for steady, the pause is the shortest one.
	steady = 4 * time.Second
)

// topics has the subscriptions of a broker, and their state on its current connection.
type topics struct {
	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	wg      sync.WaitGroup        // the broker's goroutines and running handlers
	down    atomic.Pointer[error] // why there is no connection, nil if there is one
	wake    chan struct{}         // signals that todo is not empty
	metrics metrics

	mu     sync.Mutex
	closed bool
	online bool // there is a connection
	byName map[string]*topic
	todo   []*topic // topics that may need a command on the connection
}

// topic is one channel on the connection. It has at most one command in flight, so that every
// confirmation is unambiguous.
type topic struct {
	name   string
	subs   []*subscription
	state  channelState
	queued bool   // in todo
	last   uint64 // the last delivered sequence number, if messages are numbered
}

type channelState uint8

const (
	off         channelState = iota // not subscribed
	subscribing                     // requested, not confirmed
	on                              // confirmed
	unsubscribing
)

// subscription is a Subscription.
type subscription struct {
	topics   *topics
	topic    *topic
	inbox    inbox
	standing bool          // gets what is published; guarded by topics.mu
	ready    chan struct{} // closed when standing becomes true, then nil
}

// Close implements Subscription.
func (s *subscription) Close() {
	s.inbox.close()
	s.topics.leave(s)
}

func newTopics() *topics {
	ts := &topics{byName: make(map[string]*topic), wake: make(chan struct{}, 1), metrics: newMetrics()}
	ts.ctx, ts.cancel = context.WithCancel(context.Background())
	ts.setDown(errors.New("broker: not connected yet"))
	return ts
}

// keep calls session again and again until close. session uses a connection until it fails, and returns
// the reason.
func (ts *topics) keep(session func() error) {
	pause := minPause
	for ts.ctx.Err() == nil {
		since := time.Now()
		ts.setDown(session())
		if time.Since(since) > steady {
			pause = minPause
		}
		select {
		case <-ts.ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, maxPause)
	}
}

// err returns ErrClosed after close, otherwise the reason why there is no connection, or nil.
func (ts *topics) err() error {
	if ts.ctx.Err() != nil {
		return ErrClosed
	}
	if err := ts.down.Load(); err != nil {
		return *err
	}
	return nil
}

func (ts *topics) setDown(err error) {
	ts.down.Store(&err)
	ts.metrics.up.Set(0)
}

func (ts *topics) setUp() {
	ts.down.Store(nil)
	ts.metrics.up.Set(1)
	ts.metrics.connects.Inc()
}

// subscribe implements Broker.Subscribe.
func (ts *topics) subscribe(ctx context.Context, name string, h Handler) (Subscription, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("broker: subscribe: %w", context.Cause(ctx))
	}
	ts.mu.Lock()
	if ts.closed {
		ts.mu.Unlock()
		return nil, ErrClosed
	}
	s := ts.add(name, h)
	t := s.topic
	if t.state == on {
		s.standing = true
		ts.mu.Unlock()
		return s, nil
	}
	ready := make(chan struct{})
	s.ready = ready
	ts.attend(t)
	ts.mu.Unlock()

	select {
	case <-ready:
		return s, nil
	case <-ts.ctx.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		s.Close()
		err := context.Cause(ctx)
		if reason := ts.err(); reason != nil {
			err = fmt.Errorf("%w: %w", err, reason)
		}
		return nil, fmt.Errorf("broker: subscribe: %w", err)
	}
}

// listen implements Broker.Listen. It does not wait until the subscription is established.
func (ts *topics) listen(name string, f func(payload []byte), stands func()) Subscription {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed {
		return nothing(ts)
	}
	s := ts.add(name, listener{f, stands})
	s.standing, s.inbox.passing = true, true
	if s.topic.state == on {
		s.inbox.gap()
	} else {
		ts.attend(s.topic)
	}
	return s
}

// nothing returns a subscription that never gets anything.
func nothing(ts *topics) Subscription { return &subscription{topics: ts, topic: new(topic)} }

// add adds a subscription to a topic. The caller holds ts.mu.
func (ts *topics) add(name string, h Handler) *subscription {
	t := ts.byName[name]
	if t == nil {
		t = &topic{name: name}
		ts.byName[name] = t
	}
	s := &subscription{topics: ts, topic: t, inbox: inbox{handler: h, metrics: &ts.metrics, wg: &ts.wg}}
	t.subs = append(t.subs, s)
	return s
}

// leave removes s from its topic.
func (ts *topics) leave(s *subscription) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := s.topic
	i := slices.Index(t.subs, s)
	if i < 0 || ts.closed {
		return
	}
	t.subs = slices.Delete(t.subs, i, i+1)
	switch {
	case len(t.subs) > 0:
	case t.state == off:
		delete(ts.byName, t.name)
	default:
		ts.attend(t)
	}
}

// connected schedules a subscription to every topic on a new connection, and returns their number.
func (ts *topics) connected() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.online = true
	for _, t := range ts.byName {
		ts.attend(t)
	}
	return len(ts.byName)
}

// disconnected resets the state of a lost connection.
func (ts *topics) disconnected() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.online, ts.todo = false, nil
	for name, t := range ts.byName {
		t.state, t.queued = off, false
		if len(t.subs) == 0 {
			delete(ts.byName, name)
		}
	}
}

// attend makes the connection's owner check t. Without a connection it does nothing, because connected
// will attend to all topics. The caller holds ts.mu.
func (ts *topics) attend(t *topic) {
	if !ts.online || t.queued {
		return
	}
	t.queued = true
	ts.todo = append(ts.todo, t)
	ts.wakeUp()
}

func (ts *topics) wakeUp() {
	select {
	case ts.wake <- struct{}{}:
	default:
	}
}

// commands returns the next topics to subscribe to and to unsubscribe from, at most limit.
func (ts *topics) commands(limit int) (join, leave []string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	n := min(len(ts.todo), limit)
	for _, t := range ts.todo[:n] {
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
	clear(ts.todo[:n])
	if ts.todo = ts.todo[n:]; len(ts.todo) > 0 {
		ts.wakeUp()
	}
	return join, leave
}

// joined confirms a subscription. With gap, subscriptions that were established on a former connection
// get a Gap.
func (ts *topics) joined(name string, gap bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byName[name]; t != nil && t.state == subscribing {
		ts.stand(t, gap)
	}
}

// stand marks t's subscriptions as established. The caller holds ts.mu.
func (ts *topics) stand(t *topic, gap bool) {
	t.state = on
	for _, s := range t.subs {
		switch {
		case !s.standing:
			s.standing = true
			close(s.ready)
			s.ready = nil
		case gap:
			s.inbox.gap()
		}
	}
	if len(t.subs) == 0 {
		ts.attend(t)
	}
}

// left confirms the end of a subscription.
func (ts *topics) left(name string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byName[name]
	if t == nil || t.state != unsubscribing {
		return
	}
	t.state = off
	if len(t.subs) == 0 {
		delete(ts.byName, name)
	} else {
		ts.attend(t)
	}
}

// deliver passes a payload on, with a copy for each subscription.
func (ts *topics) deliver(name string, payload []byte) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byName[name]; t != nil {
		t.deliver(payload)
	}
}

func (t *topic) deliver(payload []byte) {
	for _, s := range t.subs {
		if s.standing {
			s.inbox.put(bytes.Clone(payload))
		}
	}
}

func (t *topic) gap() {
	for _, s := range t.subs {
		if s.standing {
			s.inbox.gap()
		}
	}
}

// close ends all subscriptions and joins the goroutines, once.
func (ts *topics) close() {
	ts.mu.Lock()
	if ts.closed {
		ts.mu.Unlock()
		return
	}
	ts.closed = true
	byName := ts.byName // no longer shared
	ts.byName, ts.todo = nil, nil
	ts.mu.Unlock()

	for _, t := range byName {
		for _, s := range t.subs {
			s.inbox.close()
		}
	}
	ts.cancel()
	ts.wg.Wait()
}

// The rest is for a broker that numbers messages, so that a topic's messages have increasing numbers
// with gaps.

// joinedAt confirms a subscription that gets everything after base.
func (ts *topics) joinedAt(name string, base uint64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byName[name]; t != nil && t.state == subscribing {
		t.last = max(t.last, base)
		ts.stand(t, false)
	}
}

// resumed confirms the subscriptions of a new connection. Everything up to base was delivered or, with
// gap, may be missing.
func (ts *topics) resumed(names []string, base uint64, gap bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, name := range names {
		if t := ts.byName[name]; t != nil && t.state == subscribing {
			t.last = base
			ts.stand(t, gap)
		}
	}
}

// arrived passes on the message seq of a topic, unless it has already come. previous is the number of
// the topic's message before it.
func (ts *topics) arrived(name string, seq, previous uint64, payload []byte) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byName[name]
	if t == nil || seq <= t.last {
		return
	}
	if previous > t.last {
		t.gap()
	}
	t.last = seq
	t.deliver(payload)
}

// gapAll gives all subscriptions a Gap.
func (ts *topics) gapAll() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.byName {
		t.gap()
	}
}
