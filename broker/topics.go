package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// topics has the subscriptions of a broker. Its line is the connection for all of them, except for
// topics that live in the shards of a Redis Cluster.
type topics struct {
	line
	wg      sync.WaitGroup        // the broker's goroutines and running handlers
	failure atomic.Pointer[error] // why a line has no connection, nil if all have one
	metrics metrics

	// sharded reports whether a topic lives in a shard. nil: none does.
	sharded func(name string) bool
	shards  shards

	mu      sync.Mutex
	closed  bool
	byName  map[string]*topic
	failing map[*line]error // lines without a connection
}

// topic is one channel on a connection. It has at most one command in flight, so that every
// confirmation is unambiguous.
type topic struct {
	name   string
	line   *line // nil while the shard is not known
	subs   []*subscription
	state  channelState
	queued bool   // in todo of its line, or in shards.todo
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
	ts := &topics{byName: make(map[string]*topic), failing: make(map[*line]error), metrics: newMetrics()}
	ts.shards.wake = make(chan struct{}, 1)
	ts.line = newLine(ts, context.Background())
	ts.setDown(errors.New("broker: not connected yet"))
	return ts
}

// err returns ErrClosed after close, otherwise the reason why there is no connection, or nil.
func (ts *topics) err() error {
	if ts.ctx.Err() != nil {
		return ErrClosed
	}
	if err := ts.failure.Load(); err != nil {
		return *err
	}
	return nil
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
		if ts.sharded == nil || !ts.sharded(name) {
			ts.assign(t, &ts.line)
		}
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
		ts.remove(t)
	default:
		ts.attend(t)
	}
}

// assign puts t on a line, or on none. The caller holds ts.mu.
func (ts *topics) assign(t *topic, l *line) {
	if t.line != nil {
		t.line.count--
	}
	if t.line = l; l != nil {
		l.count++
	}
}

// remove forgets a topic without subscriptions. The caller holds ts.mu.
func (ts *topics) remove(t *topic) {
	if ts.byName[t.name] == t {
		delete(ts.byName, t.name)
		ts.assign(t, nil)
	}
}

// attend makes the owner of t's line check t. Without a connection it does nothing, because connected
// will attend to all topics. The caller holds ts.mu.
func (ts *topics) attend(t *topic) {
	switch {
	case t.queued:
	case t.line == nil:
		t.queued = true
		ts.shards.todo = append(ts.shards.todo, t)
		ts.shards.rouse()
	case t.line.online:
		t.queued = true
		t.line.todo = append(t.line.todo, t)
		t.line.wakeUp()
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
	ts.byName, ts.todo, ts.shards.todo = nil, nil, nil
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
