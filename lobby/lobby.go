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

// Config has the parameters of a Lobby.
type Config struct {
	Queue  *Queue
	Broker broker.Broker
	// Frame makes the frame for a peer from a payload. Frames can be concatenated.
	Frame func(payload []byte) []byte
	// HasTeam reports whether a team in an agent's token exists; nil means that all do.
	HasTeam func(team string) bool
	Tracer  wire.Tracer // makes spans of claims; the zero Tracer makes none
	Log     *slog.Logger
}

const (
	// storeTimeout bounds how long an agent waits for the store.
	storeTimeout = 3 * time.Second
	// foreignBound is how many payloads of the topic can wait until the Lobby knows whether
	// they are the queue's own. Further ones are dropped.
	foreignBound = 10_000
	// removedBound is how many removed users a Lobby remembers.
	removedBound = 20_000
)

// Lobby serves the agents of one process. It keeps a picture of the queue. It reads the
// queue's log at once when the topic brings news, and at least once in a sweep interval,
// and sends the changes to loaded agents.
type Lobby struct {
	cfg     Config
	stop    context.CancelFunc
	ended   sync.WaitGroup
	metrics metrics
	news    chan struct{} // signals that something was published; capacity 1
	look    chan struct{} // held while reading the queue; capacity 1

	mu       sync.Mutex
	epoch    string // the picture shows the queue's log up to version
	version  int64
	replaced <-chan struct{} // see redisdb.DB.Replaced
	pending  picture
	removed  map[string]removal // by user id: users who are no longer in the picture
	step     int64              // counts the broadcasts to agents
	agents   map[*Agent]struct{}
	groups   groups
	changes  dueChanges
	own      recent
	foreign  [][]byte // payloads of the topic that may not be the queue's own
	staff    staff
}

// removal is what a Lobby remembers of a removed user: the steps of the announcement and of
// the removal, the beginning of the wait, and the team.
type removal struct {
	announced, removed int64
	since              time.Time
	team               string
}

// New starts a Lobby. Store and broker may be unavailable at the start.
func New(cfg Config) *Lobby {
	ctx, stop := context.WithCancel(context.Background())
	l := &Lobby{
		cfg:      cfg,
		stop:     stop,
		metrics:  newMetrics(),
		news:     make(chan struct{}, 1),
		look:     make(chan struct{}, 1),
		replaced: cfg.Queue.replaced(),
		pending:  newPicture(cfg.Frame),
		removed:  map[string]removal{},
		agents:   map[*Agent]struct{}{},
		groups:   groups{},
		changes:  newDueChanges(),
		own:      newRecent(),
		staff:    newStaff(),
	}
	l.ended.Go(func() { l.subscribe(ctx) })
	l.ended.Go(func() { l.follow(ctx) })
	l.ended.Go(func() { l.keepDesk(ctx) })
	return l
}

// Close stops following the queue and joins the goroutines.
func (l *Lobby) Close() error {
	l.stop()
	l.ended.Wait()
	return nil
}

// subscribe retries until it has subscribed. The subscription ends with ctx.
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
		l.cfg.Log.Debug("cannot subscribe to the queue's events", "error", err)
		pause(ctx, 500*time.Millisecond)
	}
}

// follow reads the queue when there is news, and regularly. Reading also removes expired
// entries, and makes up for lost news.
func (l *Lobby) follow(ctx context.Context) {
	q := l.cfg.Queue.cfg
	interval := max(20*time.Millisecond, min(500*time.Millisecond, q.ClaimTTL/10, q.LeaveGrace/10, q.ChatTTL/10))
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, storeTimeout)
		err := l.refresh(attempt)
		cancel()
		if err != nil && ctx.Err() == nil {
			l.cfg.Log.Debug("cannot read the queue", "error", err)
			pause(ctx, interval)
			continue
		}
		// The random part keeps many lobbies from reading at the same time.
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

// refresh brings the picture, and the agents, up to the state of the queue at some time
// after the call.
func (l *Lobby) refresh(ctx context.Context) error {
	select {
	case l.look <- struct{}{}:
		defer func() { <-l.look }()
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	select {
	case <-l.replaced: // the queue's log may have lost its end, and have grown again
		l.replaced = l.cfg.Queue.replaced()
		l.version = -1
	default:
	}
	epoch, version, foreign := l.epoch, l.version, len(l.foreign)
	wanted := l.staff.wanted()
	l.mu.Unlock()
	c, err := l.cfg.Queue.since(ctx, epoch, version, wanted)
	if err != nil {
		return err
	}
	l.mu.Lock()
	now := time.Now()
	l.apply(c, now)
	l.passOn(foreign)
	l.applyNews(c.news, wanted, now)
	l.tellChanges(now)
	// The log is exact. If the picture differs all the same, read the whole queue.
	if int64(l.pending.len()) != c.visible {
		l.cfg.Log.Warn("the copy of the queue was wrong and is read again", "have", l.pending.len(), "want", c.visible)
		l.version = -1
	}
	agents := l.deliver()
	l.mu.Unlock()
	for _, a := range agents {
		a.peer.Flush()
	}
	return nil
}

// apply applies a change. The caller holds mu.
func (l *Lobby) apply(c change, now time.Time) {
	for _, logged := range c.events {
		l.own.add(logged.payload, now)
		e, ok := decodeLogged(logged)
		if !ok {
			continue
		}
		if e.Kind == kindUserJoined && len(logged.record) == 0 && e.Verified {
			l.own.add(e.payload(plain), now) // an older server publishes less than it logs
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
		// The waiting payloads may be older than the log's tail.
		l.foreign = nil
		l.replace(c.pending)
	}
	l.epoch, l.version = c.epoch, c.version
}

// replace makes the picture show exactly these users, and sends agents the difference. The
// caller holds mu.
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
	if before, ok := l.removed[u.UserID]; ok { // a claim has expired
		l.pending.get(u.UserID).since = before.since
	}
	delete(l.removed, u.UserID)
	l.broadcast(event{kindUserJoined, u})
}

// gone removes a user from the picture and from agents' lists. The caller holds mu.
func (l *Lobby) gone(userID string) {
	u := l.pending.remove(userID)
	if u == nil {
		return
	}
	if len(l.removed) >= removedBound {
		clear(l.removed)
	}
	l.broadcast(event{kindRemoveUser, u.User})
	l.removed[userID] = removal{u.announced, l.step, u.since, u.Team}
}

// passOn sends agents those of the first n waiting payloads that are not the queue's own,
// but were published by somebody else. The caller holds mu.
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

// topicHandler is the Lobby as a broker.Handler.
type topicHandler Lobby

func (h *topicHandler) Message(payload []byte) {
	l := (*Lobby)(h)
	l.mu.Lock()
	// A payload of the queue's own may come before its entry in the log was read, so an
	// unknown payload waits until the log is read next.
	if len(l.foreign) < foreignBound && !l.own.has(payload) {
		l.foreign = append(l.foreign, bytes.Clone(payload))
	}
	l.mu.Unlock()
	h.Gap()
}

// Gap makes the Lobby read the queue's log, which has the missed events.
func (h *topicHandler) Gap() {
	select {
	case h.news <- struct{}{}:
	default:
	}
}
