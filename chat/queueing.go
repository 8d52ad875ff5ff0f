package chat

import (
	"context"
	"errors"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/wire"
)

// requeue updates the queue after an event that this server has appended: by the deadline,
// or else as soon as the store is available.
func (r *room) requeue(deadline time.Time, e *log.Event) {
	s := r.service
	if e.Kind != log.SupportJoined && e.Kind != log.Released && e.Kind != log.Closed {
		return
	}
	ctx, cancel := context.WithDeadline(s.ctx, deadline)
	defer cancel()
	switch e.Kind {
	case log.SupportJoined:
		r.mu.Lock()
		held := r.heldBy(log.Support{ID: e.SupportID, Name: e.SupportName, Agent: e.Agent, Since: e.At})
		r.mu.Unlock()
		if s.queue.Taken(ctx, *held) != nil {
			s.unqueue(r.chatID, held)
		}
	case log.Released:
		if e.Lost {
			s.metrics.lost.Inc()
		} else {
			s.metrics.given.Inc()
		}
		if r.queueAgain(ctx) != nil {
			s.queueSoon(r)
		}
	case log.Closed:
		if s.queue.Remove(ctx, r.chatID) != nil {
			s.unqueue(r.chatID, nil)
		}
		s.unhold(r.chatID)
	}
}

// enqueue returns a function that puts the room's user, who has no support, into the queue:
// at their former place if a support had them, otherwise at the end. joins says that the user
// has just joined; then the queue may have dropped them, and they go to the end in any case.
// The caller holds mu.
func (r *room) enqueue(joins bool) func(context.Context) error {
	queue, u, from := r.service.queue, r.user(), r.state.Released()
	if u.Since == 0 {
		u.Since = r.registered
	}
	if from.Support.ID != "" && (!joins || r.service.recent(from.At)) {
		var to lobby.Offered
		if r.service.recent(from.At) {
			to = lobby.Offered{Agent: from.Agent, From: from.By, Note: from.Note, Taker: from.Taker}
		}
		return func(ctx context.Context) error { return queue.Release(ctx, u, to) }
	}
	if !joins || r.service.recent(u.Since) {
		return func(ctx context.Context) error { return queue.Add(ctx, u) }
	}
	u.Since = r.service.now()
	return func(ctx context.Context) error {
		dropped, err := queue.Put(ctx, u)
		if dropped {
			r.waitsAnew(ctx, u.Since)
		}
		return err
	}
}

// enters reports whether the user waits for the first time, or has begun to just now.
// The caller holds mu.
func (r *room) enters() bool {
	s := &r.state
	switch {
	case !r.free(), s.Released().Support.ID != "", s.Since != 0 && !r.service.recent(s.Since):
		return false
	}
	return r.service.cfg.Appended == nil || s.Waits == 0 && !r.saidWaiting
}

// enterQueue has the log say that this server attends, and puts the user into the queue
// in the same step, if the room is up to date; false says that it was not, and is now.
func (r *room) enterQueue(ctx context.Context, attends *log.Event) (bool, error) {
	s := r.service
	events := []*log.Event{attends}
	r.mu.Lock()
	after, u := r.last, r.user()
	announces := s.cfg.Appended != nil
	if announces {
		events = append(events, &log.Event{Kind: log.Announced, ID: s.eventID(), At: s.now(), Seq: r.state.Waits})
	}
	r.mu.Unlock()
	if u.Since == 0 {
		u.Since = attends.At
	}
	length, entered, err := s.queue.Enter(ctx, u, r.entries(ctx, after, events...))
	switch {
	case err != nil:
		return false, err
	case length == 0:
		r.expire()
		return false, log.ErrGone
	}
	if err := r.follow(ctx, after, length, events...); err != nil {
		return false, err
	}
	r.visited(true, false)
	if announces {
		r.announced(!entered)
		s.cfg.Appended(r.chatID)
	}
	return entered, nil
}

// entries are events to be put behind position after of the log.
func (r *room) entries(ctx context.Context, after int64, events ...*log.Event) lobby.Entries {
	logs := r.service.logs
	e := lobby.Entries{Log: logs.Key(r.chatID), Life: logs.Life(), After: after}
	for _, one := range events {
		e.New = append(e.New, one.Encode())
		if one.Kind == log.Attended {
			e.Before = logs.Remember(ctx, r.chatID)
		}
	}
	return e
}

// waitsAnew logs since when the user, whom the queue had dropped, waits. A release puts the
// user back at that place. It tries once.
func (r *room) waitsAnew(ctx context.Context, since int64) {
	result := r.append(ctx, time.Now().Add(orphanTimeout), &log.Event{
		Kind: log.Attended, ID: r.service.eventID(), At: since, Server: r.service.id, Fold: log.Version, From: log.RoleUser,
	}, nil)
	if err := result.refusal(); err != nil {
		r.service.logger.Debug("cannot log that a user waits again", "chat", wire.ShortID(r.chatID), "error", err)
	}
}

// recent reports whether a wait that began at a time must still go on, because the queue
// drops nobody before two missed renewals.
func (s *Service) recent(at int64) bool {
	return s.now()-at < 2*s.queue.RenewEvery().Microseconds()
}

// queueAgain puts the room's user, who has dropped out of the queue or was released, into the
// queue, unless a support has joined meanwhile.
func (r *room) queueAgain(ctx context.Context) error {
	r.mu.Lock()
	after := r.last
	r.mu.Unlock()
	entries, err := r.fetch(ctx, after)
	if errors.Is(err, log.ErrGone) {
		return nil // the sessions learn of it at the next check for expiry
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.take(after, entries)
	here := r.waiting
	wanted := here || r.state.Released().Support.ID != "" && !r.closed()
	put, known := r.enqueue(false), r.present(log.RoleUser) != unknown
	r.mu.Unlock()
	r.flush()
	if !wanted {
		return nil
	}
	if err := put(ctx); err != nil {
		return err
	}
	r.announced(false)
	if !here && !known {
		if err := r.service.queue.Leave(ctx, r.chatID); err != nil {
			return err
		}
	}
	r.mu.Lock()
	over, held := r.state.Support.ID != "" || r.closed(), r.heldNow()
	r.mu.Unlock()
	if over {
		r.service.unqueue(r.chatID, held)
	}
	return nil
}

// queueSoon makes the retry loop call queueAgain until it succeeds. It does not block.
func (s *Service) queueSoon(r *room) {
	s.mu.Lock()
	if _, known := s.queued[r]; !known {
		s.queued[r] = struct{}{}
		r.errands++
	}
	s.mu.Unlock()
	s.wakeRetry()
}

// unqueue soon removes a chat from the queue; held is set if a support has it. It does not
// block.
func (s *Service) unqueue(chatID string, held *lobby.Held) {
	s.mu.Lock()
	if held != nil || s.unqueued[chatID] == nil {
		s.unqueued[chatID] = held
	}
	s.mu.Unlock()
	s.wakeRetry()
}

// stopTaking cancels the report of a support who no longer has the chat.
func (s *Service) stopTaking(chatID string) {
	s.mu.Lock()
	delete(s.unqueued, chatID)
	s.mu.Unlock()
}

// unhold soon tells the queue that a chat no longer has a support. It does not block.
func (s *Service) unhold(chatID string) {
	s.mu.Lock()
	s.unheld[chatID] = struct{}{}
	s.mu.Unlock()
	s.wakeRetry()
}
