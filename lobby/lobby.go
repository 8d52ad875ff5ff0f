package lobby

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"livesupport/broker"
	"livesupport/lobby/wire"
)

// Config is what a Lobby needs.
type Config struct {
	Queue  *Queue
	Broker broker.Broker
	// Frame makes of a payload what goes to a peer; frames may be joined.
	Frame  func(payload []byte) []byte
	Tracer wire.Tracer // makes spans of claims; without one there are none
	Log    *slog.Logger
}

const (
	// storeTimeout bounds what an agent waits for the store.
	storeTimeout = 3 * time.Second
	// foreignBound is how many payloads of the topic may wait to be told from
	// the queue's own; more are dropped.
	foreignBound = 10_000
	// removedBound is of how many removed users a Lobby remembers who was told.
	removedBound = 20_000
	// changeEvery is how often at most agents are told of changes of one user.
	changeEvery = time.Second
)

// Lobby serves the agents of one process. It keeps a picture of the queue: a
// look at the queue's log, at the latest every sweep interval and at once when
// the topic brings news, tells what has changed; loaded agents get just that.
type Lobby struct {
	cfg     Config
	stop    context.CancelFunc
	ended   sync.WaitGroup
	metrics metrics
	news    chan struct{} // something was published; capacity 1
	look    chan struct{} // held while looking at the queue; capacity 1

	mu      sync.Mutex
	epoch   string // what the picture shows: the queue's log up to version
	version int64
	pending picture
	removed map[string]removal // by user id: users who are not in the picture any more
	step    int64              // counts what was sent to all agents
	agents  map[*Agent]struct{}
	// listening is how many of the loaded agents belong to an audience: nothing is
	// made for one that nobody belongs to.
	listening [audiences]int
	changed   map[string]struct{} // by user id: agents have not been told of a change yet
	own       recent
	foreign   [][]byte // payloads of the topic that are not known as the queue's own
	notices   notices  // frames that the loaded agents are to get next
}

// notices are the frames for each audience.
type notices [audiences][]byte

// removal tells when a user was last announced and removed, in steps, and since
// when they had waited.
type removal struct {
	announced, removed int64
	since              time.Time
}

// New starts a Lobby. It need not reach store or broker to start.
func New(cfg Config) *Lobby {
	ctx, stop := context.WithCancel(context.Background())
	l := &Lobby{
		cfg:     cfg,
		stop:    stop,
		metrics: newMetrics(),
		news:    make(chan struct{}, 1),
		look:    make(chan struct{}, 1),
		pending: newPicture(cfg.Frame),
		removed: map[string]removal{},
		agents:  map[*Agent]struct{}{},
		changed: map[string]struct{}{},
		own:     newRecent(),
	}
	l.ended.Go(func() { l.subscribe(ctx) })
	l.ended.Go(func() { l.follow(ctx) })
	return l
}

// Close stops following the queue and joins the goroutines.
func (l *Lobby) Close() error {
	l.stop()
	l.ended.Wait()
	return nil
}

// subscribe keeps trying until the subscription stands, and ends it with ctx.
func (l *Lobby) subscribe(ctx context.Context) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, storeTimeout)
		s, err := l.cfg.Broker.Subscribe(attempt, Topic, (*topicHandler)(l))
		cancel()
		if err == nil {
			<-ctx.Done()
			s.Close()
			return
		}
		l.cfg.Log.Debug("subscribing to the queue's events", "error", err)
		pause(ctx, 500*time.Millisecond)
	}
}

// follow looks at the queue when there is news, and regularly: that is also the
// sweep of what has run out, and makes up for news that never came.
func (l *Lobby) follow(ctx context.Context) {
	q := l.cfg.Queue.cfg
	interval := max(20*time.Millisecond, min(500*time.Millisecond, q.ClaimTTL/10, q.LeaveGrace/10, q.ChatTTL/10))
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, storeTimeout)
		err := l.refresh(attempt)
		cancel()
		if err != nil && ctx.Err() == nil {
			l.cfg.Log.Debug("looking at the queue", "error", err)
			pause(ctx, interval)
			continue
		}
		// Spread over the interval, so that many lobbies do not look all at once.
		timer := time.NewTimer(interval/2 + rand.N(interval/2))
		select {
		case <-l.news:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// refresh brings the picture up to a moment after the call, and agents with it.
func (l *Lobby) refresh(ctx context.Context) error {
	select {
	case l.look <- struct{}{}:
		defer func() { <-l.look }()
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	epoch, version, foreign := l.epoch, l.version, len(l.foreign)
	l.mu.Unlock()
	c, err := l.cfg.Queue.since(ctx, epoch, version)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.apply(c, time.Now())
	l.passOn(foreign)
	// The log is exact; should the picture differ all the same, look at all of it.
	if int64(l.pending.len()) != c.visible {
		l.cfg.Log.Warn("the picture of the queue was wrong and is made anew", "have", l.pending.len(), "want", c.visible)
		l.version = -1
	}
	agents := l.deliver()
	l.mu.Unlock()
	for _, a := range agents {
		a.peer.Flush()
	}
	return nil
}

// apply takes over a change. The caller holds mu.
func (l *Lobby) apply(c change, now time.Time) {
	for _, logged := range c.events {
		l.own.add(logged.payload, now)
		e, ok := decodeLogged(logged)
		if !ok {
			continue
		}
		if e.Kind == kindUserJoined && len(logged.record) == 0 && e.Verified {
			l.own.add(e.payload(plain), now) // a former server publishes less than it logs
		}
		if c.all {
			continue
		}
		switch e.Kind {
		case kindUserJoined:
			l.joined(e.User, logged.place)
		case kindUserChanged:
			l.change(e.User)
		default:
			l.gone(e.UserID)
		}
	}
	if c.all {
		// What is waiting to be told apart may be older than the log's tail.
		l.foreign = nil
		l.replace(c.pending)
	}
	l.epoch, l.version = c.epoch, c.version
	l.tellChanges(now)
}

// replace makes the picture show exactly these users, and tells agents the
// difference. The caller holds mu.
func (l *Lobby) replace(pending []entry) {
	stay := make(map[string]bool, len(pending))
	users := make([]User, len(pending))
	for i, p := range pending {
		if u, ok := parseRecord(p.payload); ok {
			users[i] = u
			stay[u.UserID] = true
		}
	}
	for _, u := range slices.Clone(l.pending.order) {
		if !stay[u.UserID] {
			l.gone(u.UserID)
		}
	}
	for i, u := range users {
		if u.UserID == "" {
			continue
		}
		l.joined(u, pending[i].place)
		l.change(u)
	}
}

// joined announces a user who is new in the picture. The caller holds mu.
func (l *Lobby) joined(u User, place int64) {
	if !l.pending.add(u, place, l.step+1) {
		return
	}
	if before, ok := l.removed[u.UserID]; ok { // a claim has run out
		l.pending.get(u.UserID).since = before.since
	}
	delete(l.removed, u.UserID)
	l.broadcast(event{kindUserJoined, u})
}

// gone removes a user from the picture and from agents' lists. The caller
// holds mu.
func (l *Lobby) gone(userID string) {
	u := l.pending.remove(userID)
	if u == nil {
		return
	}
	if len(l.removed) >= removedBound {
		clear(l.removed)
	}
	l.broadcast(event{kindRemoveUser, u.User})
	l.removed[userID] = removal{u.announced, l.step, u.since}
}

// change takes over what is known of a user now. The caller holds mu.
func (l *Lobby) change(u User) {
	if l.pending.change(u) != nil {
		l.changed[u.UserID] = struct{}{}
	}
}

// tellChanges tells of changed users, of each not too often. The caller holds mu.
func (l *Lobby) tellChanges(now time.Time) {
	for id := range l.changed {
		u := l.pending.get(id)
		if u != nil && now.Sub(u.told) < changeEvery {
			continue // at the next look, or one after it
		}
		delete(l.changed, id)
		if u != nil && l.listening[detailed] > 0 {
			u.told = now
			frame := l.cfg.Frame(event{kindUserChanged, u.User}.payload(detailed))
			l.notices[detailed] = append(l.notices[detailed], frame...)
		}
	}
}

// broadcast notes an event for all loaded agents. The caller holds mu.
func (l *Lobby) broadcast(e event) {
	l.step++
	common := l.cfg.Frame(e.payload(plain))
	l.notices[plain] = append(l.notices[plain], common...)
	for to := plain + 1; to < audiences; to++ {
		if l.listening[to] == 0 {
			continue
		}
		frame := common
		if e.Kind == kindUserJoined && (to == detailed || e.Verified) {
			frame = l.cfg.Frame(e.payload(to))
		}
		l.notices[to] = append(l.notices[to], frame...)
	}
}

// deliver queues the notices to the loaded agents, as one piece however many
// they are, and returns who must be flushed. The caller holds mu.
func (l *Lobby) deliver() []*Agent {
	if len(l.notices[plain])+len(l.notices[detailed]) == 0 {
		return nil
	}
	agents := make([]*Agent, 0, len(l.agents))
	for a := range l.agents {
		if frames := l.notices[a.audience]; len(frames) > 0 {
			a.peer.Queue(frames)
			agents = append(agents, a)
		}
	}
	l.notices = notices{}
	return agents
}

// passOn sends agents the first n payloads of the topic that are not the
// queue's own: somebody else has published them. The caller holds mu.
func (l *Lobby) passOn(n int) {
	n = min(n, len(l.foreign))
	for _, payload := range l.foreign[:n] {
		if l.own.has(payload) {
			continue
		}
		e, ok := decodeEvent(payload)
		if !ok || e.Kind == kindUserJoined && l.pending.get(e.UserID) != nil {
			continue
		}
		l.broadcast(e)
	}
	l.foreign = l.foreign[n:]
}

// topicHandler is the Lobby as the broker sees it.
type topicHandler Lobby

func (h *topicHandler) Message(payload []byte) {
	l := (*Lobby)(h)
	l.mu.Lock()
	// A payload of the queue's own may come before its entry in the log has been
	// read: what is not known yet waits for the next look.
	if len(l.foreign) < foreignBound && !l.own.has(payload) {
		l.foreign = append(l.foreign, bytes.Clone(payload))
	}
	l.mu.Unlock()
	h.Gap()
}

// Gap makes the Lobby look at the queue's log, which has what was missed.
func (h *topicHandler) Gap() {
	select {
	case h.news <- struct{}{}:
	default:
	}
}
