package chat

import (
	"context"
	"errors"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/wire"
)

// open makes the room ready for a Join and brings it up to date with the store:
// whatever was acknowledged anywhere before the Join is in the state after it.
// It renews the chat, and has
// the signals come that the features f need. A stranger, who does not know the user's id, costs one
// read and changes nothing.
func (r *room) open(ctx context.Context, userID string, s *Session) error {
	select {
	case r.entering <- struct{}{}:
		defer func() { <-r.entering }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := r.service.db.AwaitTime(ctx); err != nil {
		return err
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	if !wire.SameID(userID, r.userID()) {
		return errStranger
	}
	r.subscribe(ctx)
	r.mu.Lock()
	after, gone, closed := r.last, r.gone, r.closed()
	var entry []byte
	renews := s.role != log.RoleObserver
	signals := s.features&ofSignals != 0
	if signals {
		r.listen() // before the others can hear that this server wants signals
	}
	if own := r.state.Server(r.service.id); own.ID == "" || signals && !own.Signals {
		entry = (&log.Event{Kind: log.Attended, At: r.service.now(), Server: r.service.id, Fold: log.Version, Signals: signals}).Encode()
	}
	r.mu.Unlock()
	if gone {
		return log.ErrGone
	}
	entries, err := r.service.logs.Visit(ctx, r.chatID, renews && !closed, entry, after)
	if err != nil {
		if errors.Is(err, log.ErrGone) {
			r.expire()
		}
		return err
	}
	r.mu.Lock()
	r.take(after, entries)
	watched := r.watched
	r.watched = true
	switch {
	case renews:
		r.renewedNow()
	case !watched:
		r.deadline = time.Now() // the store knows how long the chat lives
	}
	if r.closed() && !closed {
		r.service.endInTime(r)
	}
	deadline, last, others := r.deadline, r.last, r.state.AttendedByOthers(r.service.id)
	r.mu.Unlock()
	r.flush()
	if !watched {
		r.service.watch(r, deadline)
	}
	if others {
		// A server that died may not have told of what it had appended.
		r.service.tellLater(r.chatID, last)
	}
	return nil
}

// load reads the whole log unless some of it has been read already.
func (r *room) load(ctx context.Context) error {
	r.mu.Lock()
	loaded := r.state.ChatID != ""
	r.mu.Unlock()
	if loaded {
		return nil
	}
	entries, err := r.service.logs.Read(ctx, r.chatID, 0)
	if err != nil {
		return err
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
		r.service.logger.Debug("subscribing to a chat", "chat", r.chatID, "error", err)
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
	r.state = log.State{} // the expiry's heap may hold the room for a while
	subscription, signals := r.subscription, r.signals.subscription
	r.subscription, r.signals.subscription = nil, nil
	r.mu.Unlock()
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
		Team: r.state.Team, Details: r.state.Details,
		Message: latestMessage(r.state.Messages), Messages: len(r.state.Messages),
	}
}

func (r *room) userID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.UserID
}

// expiresAt returns when the room must be looked at, and whether it is open.
func (r *room) expiresAt() (time.Time, bool) {
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

// joinUser lets a user in: into the queue while nobody has taken the chat.
func (r *room) joinUser(ctx context.Context, s *Session, supportID string) error {
	r.mu.Lock()
	queued := r.state.Support.ID == "" && !r.closed()
	user := r.user()
	r.mu.Unlock()
	if queued {
		if err := r.service.queue.Add(ctx, user); err != nil {
			return err
		}
	}
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		if queued {
			r.service.unqueue(r.chatID, false)
		}
		return log.ErrGone
	}
	if err := r.admits(s); err != nil {
		r.mu.Unlock()
		return err
	}
	taken := r.state.Support.ID != ""
	if !taken || supportID == "" {
		r.queueTo(s, userJoinedPayload(&r.state))
	}
	if taken && supportID != r.state.Support.ID {
		r.queueTo(s, supportJoinedPayload(&r.state))
	}
	if taken || len(r.state.Messages) > 0 {
		r.queueTo(s, historyPayload(&r.state, s.features))
	}
	r.admit(s)
	over := taken || r.closed()
	if !over && !r.waiting {
		r.waiting = true
		r.service.startWaiting(r)
	}
	if s.asksQueue() {
		r.service.standing.joined(r)
	}
	r.mu.Unlock()
	if queued && over {
		// A support has joined, or the user has left, while they were put into the queue.
		r.service.unqueue(r.chatID, taken)
	}
	r.flush() // the others may have been told of it, too
	return nil
}

// joinSupport takes the chat for a support, unless another has it: the log
// decides. Where it is known who the agents are, a claim keeps the others out,
// and who comes without one claims the user first.
func (r *room) joinSupport(ctx context.Context, deadline time.Time, s *Session, name string) error {
	r.mu.Lock()
	owner, userID, closed := r.state.Support, r.state.UserID, r.closed()
	r.mu.Unlock()
	agent := s.subject()
	switch {
	case agent != "" && agent == owner.Agent: // on whatever machine
		return r.rejoinSupport(s, owner.ID, true)
	case closed:
		return errEnded
	case owner.ID != "" && owner.ID != s.supportID:
		return errTaken
	}
	if agent != "" {
		free, err := r.service.queue.Reserve(ctx, r.chatID, userID, agent)
		if err != nil {
			return err
		}
		if !free {
			return errTaken
		}
	}
	entered := false
	result := r.append(ctx, deadline, &log.Event{
		Kind: log.SupportJoined, ID: r.service.eventID(), At: r.service.now(),
		SupportID: s.supportID, SupportName: name, Agent: agent,
	}, func(outcome log.Outcome) {
		if outcome != log.Applied || r.gone {
			return
		}
		entered = true
		r.queueTo(s, supportJoinedPayload(&r.state))
		if len(r.state.Messages) > 0 {
			r.queueTo(s, historyPayload(&r.state, s.features))
		}
		r.admit(s)
	})
	switch {
	case result.err != nil:
		return result.err
	case result.late:
		return wire.ErrUnavailable // to be tried again, with the same supportId
	case result.outcome == log.Over:
		return errEnded
	case !entered:
		return errTaken
	}
	r.flush()
	return nil
}

// rejoinSupport lets the chat's support in again, and with tell says first which
// supportId is theirs.
func (r *room) rejoinSupport(s *Session, supportID string, tell bool) error {
	r.mu.Lock()
	defer r.flush()
	defer r.mu.Unlock()
	switch {
	case r.gone:
		return log.ErrGone
	case !wire.SameID(supportID, r.state.Support.ID), s.subject() != r.state.Support.Agent:
		return errStranger
	}
	if err := r.admits(s); err != nil {
		return err
	}
	s.supportID = supportID
	if tell {
		r.queueTo(s, supportJoinedPayload(&r.state))
	}
	r.queueTo(s, historyPayload(&r.state, s.features))
	r.admit(s)
	return nil
}

// joinObserver lets somebody look on.
func (r *room) joinObserver(s *Session) error {
	r.mu.Lock()
	defer r.flush()
	defer r.mu.Unlock()
	if r.gone {
		return log.ErrGone
	}
	if err := r.admits(s); err != nil {
		return err
	}
	if r.state.Support.ID != "" {
		r.queueTo(s, supportJoinedPayload(&r.state))
	}
	r.queueTo(s, historyPayload(&r.state, s.features))
	r.admit(s)
	return nil
}

// admits returns errEnded if a session cannot take part in a closed chat. The caller
// holds mu.
func (r *room) admits(s *Session) error {
	if r.closed() && !s.features.has(featureClose) {
		return errEnded
	}
	return nil
}

// admit lets a session take part, behind the answers to its Join, and tells it what
// its features open. The caller holds mu.
func (r *room) admit(s *Session) {
	if s.features.has(featureNotes) {
		r.showNotes(s)
	}
	if s.features.has(featureReceipts) {
		r.showMarks(s)
	}
	if s.features.has(featureRating) && r.state.Rating.Score > 0 {
		r.queueTo(s, ratedPayload(r.state.Rating))
	}
	r.sessions = append(r.sessions, s)
	if s.seesPresence() {
		for _, role := range sides {
			r.presenceChanged(role)
			r.showPresence(role)
		}
	} else if s.role.Valid() {
		r.presenceChanged(s.role)
	}
	if r.closed() {
		r.queueTo(s, chatClosedPayload(&r.state))
	}
	r.announce()
}

// queueTo queues a payload to one session; with r.mu held it takes its place
// among what all sessions get.
func (r *room) queueTo(s *Session, payload []byte) { s.peer.Queue(r.service.frame(payload)) }
