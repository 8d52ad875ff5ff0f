package broker

import (
	"context"
	"strings"
	"time"

	"livesupport/broker/redisdb"
)

const (
	// placePause is the time between rounds for topics that were not where the map says. It doubles
	// up to maxPlacePause while servers refuse subscriptions. placeTimeout bounds a round.
	placePause    = 25 * time.Millisecond
	maxPlacePause = 400 * time.Millisecond
	placeTimeout  = 2 * time.Second
	// maxIdle is how long a connection without topics is kept, at least, and idleEvery how often such
	// connections are looked for.
	maxIdle   = time.Minute
	idleEvery = 20 * time.Second
)

// shards says which topics still have to find the shard of a Redis Cluster that they live in. It is
// guarded by topics.mu.
type shards struct {
	wake chan struct{} // signals that the rest has changed
	todo []*topic      // topics without a line
	haste
}

// haste is what there is to do besides todo.
type haste struct {
	stale   bool // a topic was not where the map of the Cluster says
	refused bool // a server has refused a subscription
	sweep   bool // all topics are to be compared with the map
}

func (s *shards) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// unplace takes t off its line, so that it finds its shard anew. The caller holds ts.mu.
func (ts *topics) unplace(t *topic) {
	ts.turnOff(t)
	ts.assign(t, nil)
	t.queued = false
	ts.shards.stale = true
	if len(t.subs) > 0 {
		ts.attend(t)
	}
}

// revoked takes a topic off the line after its server has ended the subscription, because another
// server has the slot now.
func (l *line) revoked(name string) {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	if t := l.has(name); t != nil && t.state != unsubscribing {
		l.topics.unplace(t)
	}
}

// refused takes those topics off the line whose commands are in flight, after the server has refused one
// of them, since it does not say which. A topic for which it has not may be confirmed twice, which does no
// harm.
func (l *line) refused() {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	if !l.asked {
		return // all of them have been taken off
	}
	l.asked = false
	l.topics.shards.refused = true
	for _, t := range l.topics.byName {
		if t.line == l && (t.state == subscribing || t.state == unsubscribing) {
			l.topics.unplace(t)
		}
	}
}

// scatter takes all topics off a line that has no connection.
func (l *line) scatter() {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	for _, t := range l.topics.byName {
		if t.line == l {
			l.topics.unplace(t)
		}
	}
}

// survey makes all topics be compared with the map of the Cluster.
func (ts *topics) survey() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.shards.sweep = true
	ts.shards.rouse()
}

// placed is a topic and the line that it was on.
type placed struct {
	topic *topic
	line  *line
}

// unplaced returns the topics whose line is to be found: those without one or, for a sweep, all that live
// in shards.
func (ts *topics) unplaced(sweep bool) (todo []placed, h haste) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	h, ts.shards.haste = ts.shards.haste, haste{}
	h.sweep = h.sweep || sweep
	for _, t := range ts.shards.todo {
		if t.line != nil {
			continue // moved since
		}
		t.queued = false
		if !h.sweep && len(t.subs) > 0 {
			todo = append(todo, placed{topic: t})
		}
	}
	ts.shards.todo = nil
	if h.sweep {
		for name, t := range ts.byName {
			if ts.sharded(name) {
				todo = append(todo, placed{t, t.line})
			}
		}
	}
	return todo, h
}

// move puts a topic on a line, on which it will be subscribed. With nil, it waits for the next round.
func (ts *topics) move(t *topic, to *line) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byName[t.name] != t {
		return // nobody has it any more
	}
	if to == nil {
		if t.line == nil && !t.queued {
			t.queued = true
			ts.shards.todo = append(ts.shards.todo, t)
			ts.shards.stale = true
			ts.shards.rouse()
		}
		return
	}
	ts.assign(t, to)
	t.queued = false
	if ts.turnOff(t); len(t.subs) > 0 {
		ts.attend(t)
	}
}

// idle reports whether the line has had no topics for so long that it is no longer needed.
func (l *line) idle(now time.Time) bool {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	switch {
	case l.count > 0:
		l.empty = time.Time{}
		return false
	case l.empty.IsZero():
		l.empty = now
	}
	return now.Sub(l.empty) > maxIdle || l.topics.failing[l] != nil
}

// end forgets a line that is no longer needed.
func (l *line) end() {
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	delete(l.topics.failing, l)
	l.topics.failed()
}

// sharding has the lines of topics in a Redis Cluster, one to each master that has any of them. A topic
// lives on the master of the slot that its channel hashes to. That changes when a slot is moved or a
// replica is promoted, which shows in three ways: the old master ends the subscription (sunsubscribe) or
// refuses it (MOVED), its connection fails, or the map of the Cluster names another one. In each case the
// topic is subscribed to on the new one, and gets a Gap.
type sharding struct {
	b     *Redis
	ts    *topics
	stem  string                 // of the names of topics that live in shards
	what  string                 // the log's word for the topics
	lines map[redisdb.Node]*line // used by place only
}

// newSharding makes ts put the topics that begin with stem into shards if the store is a Cluster.
func newSharding(b *Redis, ts *topics, stem, what string) *sharding {
	ts.sharded = func(name string) bool { return b.db.Cluster() && strings.HasPrefix(name, stem) }
	return &sharding{b: b, ts: ts, stem: stem, what: what, lines: make(map[redisdb.Node]*line)}
}

// channel returns the channel of a topic: the name of its chat's key, so that both have the same slot.
func (s *sharding) channel(name string) string { return s.stem + "{" + name[len(s.stem):] + "}" }

// name is the inverse of channel, "" for what is no channel of a topic.
func (s *sharding) name(channel string) string {
	if len(channel) < len(s.stem)+2 {
		return ""
	}
	return s.stem + channel[len(s.stem)+1:len(channel)-1]
}

// place finds the lines of topics until the broker is closed. What can be is done when there is a reason: a
// topic without a line, or another map.
func (s *sharding) place() {
	look := time.NewTimer(0)
	look.Stop()
	defer look.Stop()
	pause := placePause
	moved := s.b.db.Moved()
	for {
		sweep := false
		select {
		case <-s.ts.ctx.Done():
			return
		case <-s.ts.shards.wake:
		case <-moved:
			moved = s.b.db.Moved()
			sweep = true
		case <-look.C:
		}
		if !s.b.db.Cluster() {
			continue
		}
		h := s.round(sweep)
		if s.endIdle(time.Now()) {
			look.Reset(idleEvery)
		}
		switch {
		case !h.stale:
			continue
		case h.refused:
			pause = min(2*pause, maxPlacePause)
		default:
			pause = placePause
		}
		select {
		case <-s.ts.ctx.Done():
		case <-time.After(pause):
		}
	}
}

// round finds the lines of the topics that have none, or in a sweep of all.
func (s *sharding) round(sweep bool) haste {
	ctx, cancel := context.WithTimeout(s.ts.ctx, placeTimeout)
	defer cancel()
	todo, h := s.ts.unplaced(sweep)
	if h.stale || h.sweep {
		s.b.db.Reload(ctx)
	}
	for _, p := range todo {
		node, err := s.b.db.Home(ctx, s.channel(p.topic.name))
		switch {
		case err != nil:
			h.stale = true
			s.ts.move(p.topic, nil)
		case p.line == nil || p.line != s.lines[node]:
			s.ts.move(p.topic, s.line(node))
		}
	}
	return h
}

// endIdle ends the lines that are no longer needed, and reports whether there are lines left that may become so.
func (s *sharding) endIdle(now time.Time) bool {
	for node, l := range s.lines {
		if l.idle(now) {
			l.cancel()
			delete(s.lines, node)
		}
	}
	return len(s.lines) > 0
}

// line returns the line to a node.
func (s *sharding) line(node redisdb.Node) *line {
	if l := s.lines[node]; l != nil {
		return l
	}
	made := newLine(s.ts, s.ts.ctx)
	l := &made
	l.sharding, l.node = s, node
	s.lines[node] = l
	s.ts.wg.Go(func() {
		l.keep(func() error {
			defer l.scatter()
			return s.b.session(l, s.what)
		})
		l.end()
	})
	return l
}
