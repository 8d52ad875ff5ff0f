package chat

import (
	"context"
	"errors"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/wire"
)

// opened is what has been done for a Join when its room is open.
type opened struct {
	// trusted: the room is as this server knows it. The append that must follow tells
	// whether it is up to date.
	trusted bool
	queued  bool // the user is in the queue
}

// open makes the room ready for a Join and brings it up to date with the store:
// whatever was acknowledged anywhere before the Join is in the state after it, unless the
// Join takes a chat that seems to be free. It renews the chat, and has
// the signals come that the session's features need. A stranger, who does not know the
// user's id, costs one read at most and changes nothing.
func (r *room) open(ctx context.Context, userID string, s *Session, takes bool) (done opened, err error) {
	select {
	case r.entering <- struct{}{}:
		defer func() { <-r.entering }()
	case <-ctx.Done():
		return done, ctx.Err()
	}
	if err := r.service.db.AwaitTime(ctx); err != nil {
		return done, err
	}
	r.recall()
	if err := r.load(ctx); err != nil {
		return done, err
	}
	if !wire.SameID(userID, r.userID()) {
		return done, errStranger
	}
	r.service.newcomers.joined(r.chatID)
	r.subscribe(ctx)
	r.mu.Lock()
	gone := r.gone
	attends := r.attends(s)
	done.trusted = takes && r.free() && r.state.Released().Support.ID == ""
	enters := attends != nil && s.role == log.RoleUser && r.enters()
	r.mu.Unlock()
	switch {
	case gone:
		return done, log.ErrGone
	case done.trusted:
		return done, nil
	case enters:
		done.queued, err = r.enterQueue(ctx, attends)
		return done, err
	}
	return done, r.visit(ctx, s)
}

// visit is the rest of open where nothing else tells whether the room is up to date.
func (r *room) visit(ctx context.Context, s *Session) error {
	r.mu.Lock()
	after, closed := r.last, r.closed()
	attends := r.attends(s)
	r.mu.Unlock()
	renews := s.role != log.RoleObserver
	var err error
	if attends != nil {
		var seq int64
		if seq, err = r.service.logs.Attend(ctx, r.chatID, renews && !closed, attends.Encode()); err == nil {
			err = r.follow(ctx, after, seq, attends)
		}
	} else {
		var entries []string
		if entries, err = r.service.logs.Visit(ctx, r.chatID, renews && !closed, after); err == nil {
			r.mu.Lock()
			r.take(after, entries)
			r.mu.Unlock()
		}
	}
	if errors.Is(err, log.ErrGone) {
		r.expire()
	}
	if err == nil {
		r.visited(renews, closed)
	}
	return err
}

// attends is what the log must say before a session can take part: that this server
// attends, and wants signals if the session needs them. It is nil if the log says so. The
// caller holds mu.
func (r *room) attends(s *Session) *log.Event {
	signals := s.features&ofSignals != 0
	if signals {
		r.listen() // before the others can hear that this server wants signals
	}
	own := r.state.Server(r.service.id)
	if own.ID != "" && (own.Signals || !signals) {
		return nil
	}
	return &log.Event{Kind: log.Attended, At: r.service.now(), Server: r.service.id, Fold: log.Version, Signals: signals}
}

// free reports whether a support can take the chat. The caller holds mu.
func (r *room) free() bool { return r.state.Support.ID == "" && !r.closed() }

// follow applies events of this server, which have been put behind position after and
// the last of which is at seq now, and what has come before them.
func (r *room) follow(ctx context.Context, after, seq int64, events ...*log.Event) error {
	if seq == after+int64(len(events)) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, e := range events {
			r.offer(after+1+int64(i), *e)
		}
		return nil
	}
	entries, err := r.fetch(ctx, after)
	if errors.Is(err, log.ErrDiverged) {
		after = 0
		entries, err = r.fetch(ctx, after)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take(after, entries)
	return nil
}

// visited notes that the room is up to date, renewed or not, and has others made so.
// closed says that the chat was known to be closed before.
func (r *room) visited(renewed, closed bool) {
	r.mu.Lock()
	switch {
	case renewed:
		r.renewedNow()
	case !r.watched:
		r.deadline = now() // the store knows how long the chat lives
	}
	if r.closed() && !closed {
		r.service.endInTime(r)
	}
	last, others := r.last, r.state.AttendedByOthers(r.service.id)
	r.mu.Unlock()
	r.flush()
	r.watch()
	if others {
		// A server that died may not have told of what it had appended.
		r.service.tellLater(r.chatID, last)
		if r.service.cfg.Appended != nil {
			r.service.cfg.Appended(r.chatID)
		}
	}
}

// watch has the room looked at when its deadline comes, once.
func (r *room) watch() {
	r.mu.Lock()
	watched, deadline := r.watched, r.deadline
	r.watched = true
	r.mu.Unlock()
	if !watched {
		r.service.watch(r, deadline)
	}
}

// recall makes the state what this server has registered, if it has done so a moment ago.
func (r *room) recall() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.ChatID != "" {
		return
	}
	for i, e := range r.service.newcomers.log(r.chatID) {
		r.apply(int64(i)+1, e)
	}
}

// load reads the whole log unless some of it is known already.
func (r *room) load(ctx context.Context) error {
	r.mu.Lock()
	loaded := r.state.ChatID != ""
	r.mu.Unlock()
	if loaded {
		return nil
	}
	entries, over, err := r.service.logs.Load(ctx, r.chatID)
	if err != nil {
		return err
	}
	if over {
		rest, err := r.service.rest(ctx, []string{r.chatID})
		if err != nil {
			return err
		}
		if rest[0] == 0 {
			return log.ErrGone
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take(0, entries)
	if r.state.ChatID != r.chatID {
		return log.ErrGone // not a chat's log
	}
	return nil
}

// subscribe lets news of the chat come: now, or later while the broker is away.
// The store has what happens until then. Only the holder of entering calls it.
func (r *room) subscribe(ctx context.Context) {
	r.mu.Lock()
	subscribed := r.subscription != nil || r.subscribing
	r.mu.Unlock()
	if subscribed {
		return
	}
	if r.service.cfg.Broker.Ready() == nil && r.trySubscribe(ctx, storeTimeout/3) {
		return
	}
	r.mu.Lock()
	r.subscribing = r.service.start(r.subscribeLater)
	r.mu.Unlock()
}

// trySubscribe takes at most limit: a request needs most of its time for the store.
func (r *room) trySubscribe(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	subscription, err := r.service.cfg.Broker.Subscribe(ctx, topic(r.chatID), (*roomHandler)(r))
	if err != nil {
		r.service.logger.Debug("cannot subscribe to a chat", "chat", wire.ShortID(r.chatID), "error", err)
		return false
	}
	r.mu.Lock()
	gone := r.gone
	if !gone {
		r.subscription = subscription
	}
	r.mu.Unlock()
	if gone {
		subscription.Close()
	}
	return true
}

// subscribeLater tries until the broker is back, and then reads what there was
// no news of.
func (r *room) subscribeLater(ctx context.Context) {
	for ctx.Err() == nil && !r.isGone() {
		if r.trySubscribe(ctx, storeTimeout) {
			r.mu.Lock()
			r.subscribing = false
			r.mu.Unlock()
			(*roomHandler)(r).Gap()
			return
		}
		sleep(ctx, 250*time.Millisecond)
	}
}

func (r *room) isGone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// close ends what a room holds when no session needs it any more.
func (r *room) close() {
	r.mu.Lock()
	r.gone = true
	r.state, r.losses = log.State{}, nil // the expiry's heap may hold the room for a while
	subscription, signals := r.subscription, r.signals.subscription
	r.subscription, r.signals.subscription = nil, nil
	r.letGo()
	r.watchServers(nil)
	r.mu.Unlock()
	r.service.deaf(r)
	if subscription != nil {
		subscription.Close()
	}
	if signals != nil {
		signals.Close()
	}
}

// user is whom the chat is of, as the lobby needs them. The caller holds mu.
func (r *room) user() lobby.User {
	return lobby.User{
		Username: r.state.Username, UserID: r.state.UserID, ChatID: r.chatID, Verified: r.state.Verified,
		Team: r.state.Team, Details: r.state.Details, Since: r.state.Since,
		Message: latestMessage(&r.state), Messages: len(r.state.Messages),
	}
}

func (r *room) userID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.UserID
}

// expiresAt returns when the room must be looked at, and whether it is open.
func (r *room) expiresAt() (moment, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deadline, !r.gone
}

// renewed notes that the chat has been renewed in the store.
func (r *room) renewed() {
	r.mu.Lock()
	r.deadline = r.renewal()
	r.mu.Unlock()
}
