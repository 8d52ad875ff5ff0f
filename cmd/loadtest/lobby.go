package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// lobbyTest is the test of lobbies.
type lobbyTest struct {
	*load
	options lobbyOptions
	agents  []*watcher

	mu       sync.Mutex
	visitors []*visitor
	byID     sync.Map // user id -> *visitor

	// The Load of a fresh agent: to the first pending user, to the last one; and
	// the same in one message.
	loadFirst, loadLast, loadBatch latencies
	join                           latencies // until the user's own UserJoined
	announce, announceAll, spread  latencies // at each agent; at all of them; from the first to the last of them
	claim, removal                 latencies // RemoveUser at the agent who claims; at each agent
	taken                          latencies // until the support is in the chat

	announced, removed atomic.Int64 // at agents
	joined, claimed    atomic.Int64
	doubled, ghosts    atomic.Int64
	missedByLoad       atomic.Int64
	came               atomic.Int64 // agents
	joinsFor           time.Duration
	plannedJoins       int
	firstFault         atomic.Pointer[string] // of a join or a claim
	failed             atomic.Int64
}

// visitor is a user of the test.
type visitor struct {
	identity
	index int
	due   int64 // when the join was due; 0 for who was there before
	claim atomic.Int64

	seen, first atomic.Int64 // agents who have been told, and when the first was
	claimer     *watcher
	claimed     chan struct{} // closed when the claimer has got RemoveUser
}

// watcher is an agent who looks on, and claims if told to.
type watcher struct {
	test       *lobbyTest
	socket     *socket
	seen, gone tally // of users, by index; of the goroutine that reads
}

// lobby runs the test of lobbies.
func (l *load) lobby(ctx context.Context, o lobbyOptions) (*Summary, error) {
	t := &lobbyTest{
		load: l, options: o,
		loadFirst: newLatencies(), loadLast: newLatencies(), loadBatch: newLatencies(),
		join: newLatencies(), announce: newLatencies(), announceAll: newLatencies(), spread: newLatencies(),
		claim: newLatencies(), removal: newLatencies(), taken: newLatencies(),
	}
	if o.Joins > 0 {
		t.plannedJoins = planned(o.Joins, l.options.Duration, o.Count)
	}
	users := o.Pending + t.plannedJoins
	l.sources.choose(l.options.Source, users+o.Claims+o.Agents, append(l.options.ChatURL, l.options.LobbyURL...))
	servers := l.gauge(ctx, l.options.LobbyURL)

	l.progress.show(func() string { return fmt.Sprintf("users come to wait · %d of %d", t.joined.Load(), o.Pending) })
	if err := l.each(ctx, o.Pending, func(ctx context.Context, _ int) error { return t.visit(ctx, 0) }); err != nil {
		return nil, err
	}
	for i := range o.Loads {
		if err := t.measureLoads(ctx, i); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
	l.progress.show(func() string { return fmt.Sprintf("agents come · %d of %d", t.came.Load(), o.Agents) })
	for i := range o.Agents {
		if ctx.Err() != nil {
			break
		}
		if err := t.openAgent(ctx, i); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}

	servers.before(ctx)
	start := time.Now()
	l.progress.show(func() string { return t.line(start) })
	t.joins(ctx, start)
	servers.after(context.WithoutCancel(ctx))
	t.awaitAgents(ctx, func() bool { return t.announced.Load() >= t.came.Load()*t.joined.Load() })
	t.claims(ctx)
	t.awaitAgents(ctx, func() bool { return t.removed.Load() >= t.came.Load()*t.claimed.Load() })
	l.close()
	return t.summary(ctx, servers), nil
}

// awaitAgents waits until the agents have been told, and then for what they
// should not be told.
func (t *lobbyTest) awaitAgents(ctx context.Context, told func() bool) {
	ctx = context.WithoutCancel(ctx)
	if eventually(ctx, t.load.options.Drain, told) {
		wait(ctx, min(t.load.options.Drain, 200*time.Millisecond))
	}
}

// visit makes a user wait.
func (t *lobbyTest) visit(ctx context.Context, due int64) error {
	t.mu.Lock()
	v := &visitor{index: len(t.visitors), due: due}
	t.visitors = append(t.visitors, v)
	t.mu.Unlock()
	urls := t.load.options.ChatURL
	base := urls[v.index%len(urls)]
	var err error
	if v.identity, err = t.register(ctx, base, fmt.Sprintf("loadtest-%d", v.index+1)); err != nil {
		return err
	}
	t.byID.Store(v.UserID, v)
	s, err := t.dial(ctx, base, "/chat/"+v.ChatID, userEnd)
	if err != nil {
		return err
	}
	if _, err := s.ask(userJoin(v.identity), "UserJoined"); err != nil {
		return err
	}
	t.joined.Add(1)
	if due > 0 {
		t.join.recordMicros(t.since(time.Now()) - due)
	}
	t.follow(s, func([]byte) {})
	return nil
}

// measureLoads lets a fresh agent Load in either form, and leave.
func (t *lobbyTest) measureLoads(ctx context.Context, i int) error {
	urls := t.load.options.LobbyURL
	s, err := t.dial(ctx, urls[i%len(urls)], "/users", agentEnd)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	if err := s.conn.SetReadDeadline(time.Now().Add(2 * setupTimeout)); err != nil {
		return err
	}
	began := time.Now()
	if err := s.send(loadEach); err != nil {
		return err
	}
	for n := 0; n < t.options.Pending; {
		text, err := s.next()
		if err != nil {
			return fmt.Errorf("a Load, after %d of %d pending users: %w", n, t.options.Pending, err)
		}
		took := time.Since(began)
		_, userID, _ := lobbyEvent(text)
		if _, ours := t.byID.Load(userID); !ours {
			continue
		}
		if n++; n == 1 {
			t.loadFirst.record(took)
		}
		if n == t.options.Pending {
			t.loadLast.record(took)
		}
	}
	began = time.Now()
	m, err := s.ask(loadBatch, "PendingUsers")
	if err != nil {
		return err
	}
	t.loadBatch.record(time.Since(began))
	if missing := t.options.Pending - t.ours(m.Args.Users); missing != 0 {
		t.missedByLoad.Add(int64(max(missing, -missing)))
	}
	return nil
}

func (t *lobbyTest) ours(users []waiting) (n int) {
	for _, u := range users {
		if _, ok := t.byID.Load(u.UserID); ok {
			n++
		}
	}
	return n
}

// openAgent connects an agent who has loaded what is pending.
func (t *lobbyTest) openAgent(ctx context.Context, i int) error {
	urls := t.load.options.LobbyURL
	s, err := t.dial(ctx, urls[i%len(urls)], "/users", agentEnd)
	if err != nil {
		return err
	}
	m, err := s.ask(loadBatch, "PendingUsers")
	if err != nil {
		return err
	}
	a := &watcher{test: t, socket: s}
	for _, u := range m.Args.Users {
		a.told(u.UserID)
	}
	t.agents = append(t.agents, a)
	t.came.Add(1)
	t.follow(s, a.hear)
	return nil
}

// told notes that an agent has been shown a user.
func (a *watcher) told(userID string) {
	t := a.test
	found, ok := t.byID.Load(userID)
	if !ok {
		return // somebody else's
	}
	v := found.(*visitor)
	now := t.since(time.Now())
	if !a.seen.take(uint32(v.index)) {
		t.doubled.Add(1)
		return
	}
	t.announced.Add(1)
	v.first.CompareAndSwap(0, now)
	all := v.seen.Add(1) == int64(t.options.Agents)
	if v.due == 0 {
		return
	}
	t.announce.recordMicros(now - v.due)
	if all {
		t.announceAll.recordMicros(now - v.due)
		t.spread.recordMicros(now - v.first.Load())
	}
}

func (a *watcher) hear(text []byte) {
	t := a.test
	switch kind, userID, code := lobbyEvent(text); kind {
	case "UserJoined":
		a.told(userID)
	case "RemoveUser":
		found, ok := t.byID.Load(userID)
		if !ok {
			return
		}
		v := found.(*visitor)
		due := v.claim.Load()
		if due == 0 {
			t.ghosts.Add(1) // a user who waits and whom nobody has claimed
			return
		}
		if !a.gone.take(uint32(v.index)) {
			t.doubled.Add(1)
			return
		}
		t.removed.Add(1)
		took := t.since(time.Now()) - due
		t.removal.recordMicros(took)
		if v.claimer == a {
			t.claim.recordMicros(took)
			close(v.claimed)
		}
	case "Error":
		t.noteRefusal(code)
	}
}

// joins lets users come at the rate of the options.
func (t *lobbyTest) joins(ctx context.Context, start time.Time) {
	t.inTime(ctx, start, t.options.Joins, t.plannedJoins, func(ctx context.Context, _ int, due int64) error {
		return t.visit(ctx, due)
	})
	t.joinsFor = time.Since(start)
}

// claims lets agents take users in turns, and supports join their chats.
func (t *lobbyTest) claims(ctx context.Context) {
	n := min(t.options.Claims, len(t.visitors))
	if len(t.agents) == 0 {
		return
	}
	urls := t.load.options.ChatURL
	t.inTime(ctx, time.Now(), t.options.ClaimRate, n, func(ctx context.Context, i int, due int64) error {
		v := t.visitors[i]
		if v.UserID == "" {
			return errors.New("a user to be claimed has not joined")
		}
		v.claimer, v.claimed = t.agents[i%len(t.agents)], make(chan struct{})
		v.claim.Store(due) // after this, hear may look at the claimer
		t.claimed.Add(1)
		if err := v.claimer.socket.send(claim(v.identity)); err != nil {
			return err
		}
		select {
		case <-v.claimed:
		case <-time.After(t.load.options.Drain): // then it counts as missing
		case <-ctx.Done():
			return nil
		}
		s, err := t.dial(ctx, urls[i%len(urls)], "/chat/"+v.ChatID, agentEnd)
		if err != nil {
			return err
		}
		if _, err := s.ask(t.supportJoin(v.identity), "SupportJoinedUser"); err != nil {
			return err
		}
		t.taken.recordMicros(t.since(time.Now()) - due)
		t.follow(s, func([]byte) {})
		return nil
	})
}

// inTime begins n actions at a rate, and waits for their ends. What fails is
// counted.
func (t *lobbyTest) inTime(ctx context.Context, start time.Time, rate float64, n int, action func(ctx context.Context, i int, due int64) error) {
	type turn struct {
		i   int
		due int64
	}
	const underWay = 512 // joins at the same time; later ones wait, and their time counts
	turns := make(chan turn, n)
	var workers sync.WaitGroup
	for range min(n, underWay) {
		workers.Go(func() {
			for turn := range turns {
				if err := action(ctx, turn.i, turn.due); err != nil && ctx.Err() == nil {
					text := err.Error()
					t.firstFault.CompareAndSwap(nil, &text)
					t.failed.Add(1)
				}
			}
		})
	}
	pace(ctx, start, rate, n, func(i int, due time.Time) { turns <- turn{i, max(1, t.since(due))} })
	close(turns)
	workers.Wait()
}

// line is the progress of the test.
func (t *lobbyTest) line(start time.Time) string {
	p := t.announce.percentiles()
	return fmt.Sprintf("%s · %d agents · %d users · %d of %d claimed · announced within p50 %.2f ms, p99 %.2f ms · %d failed · %d connections cut",
		time.Since(start).Round(time.Second), t.came.Load(), t.joined.Load(), t.claimed.Load(), t.options.Claims, p.P50, p.P99, t.failed.Load(), t.cuts())
}
