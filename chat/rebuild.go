package chat

import (
	"context"
	"errors"
	"slices"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// A store that a replica has taken over, or that has come back with older data, may lack the end of
// a log that sessions have seen. What was said there is lost. What is written from then on is not: the
// room notices it by the positions, by entries that it does not know, or when the store says that it was
// replaced (redisdb.DB.Replaced), and starts again from the log as it is.

// loss is what a log has lost at once: messages that these sessions have been shown.
type loss struct {
	messages log.Identities
	sessions []*Session
}

// shownBefore returns the sessions that have been shown the message of an event before the log lost it.
// Whoever did not know whether it had been logged may log it again. The caller holds mu.
func (r *room) shownBefore(e *log.Event) (sessions []*Session) {
	for _, l := range r.losses {
		if l.messages.Has(e) {
			sessions = append(sessions, l.sessions...)
		}
	}
	return sessions
}

// forgetShown forgets what an ended session was shown. The caller holds mu.
func (r *room) forgetShown(s *Session) {
	for i := range r.losses {
		l := &r.losses[i]
		l.sessions = slices.DeleteFunc(l.sessions, func(other *Session) bool { return other == s })
	}
	r.losses = slices.DeleteFunc(r.losses, func(l loss) bool { return len(l.sessions) == 0 })
}

// rebuild starts again from a log whose end was lost, and sends sessions what they have not
// seen. The caller holds mu.
func (r *room) rebuild(entries []string) {
	r.service.logger.Error("the store has lost the end of a chat's log", "chat", wire.ShortID(r.chatID))
	seen, witnesses := r.state, slices.Clone(r.sessions)
	r.shown = max(r.shown, int64(len(seen.Messages)))
	r.state = log.State{}
	r.letGo()
	sessions := r.sessions
	for i, entry := range entries {
		e := log.Decode([]byte(entry))
		if told(&seen, &e) {
			r.sessions = nil
			r.apply(int64(i)+1, e)
			r.sessions = sessions
		} else {
			r.apply(int64(i)+1, e)
			sessions = r.sessions // some sessions may have been removed
		}
	}
	if lost := seen.Lost(&r.state); len(lost) > 0 && len(witnesses) > 0 {
		r.losses = append(r.losses, loss{lost, witnesses})
	}
	for i, role := range sides {
		r.marks[i] = r.bounded(r.marks[i])
		if r.marks[i].Read > *r.state.Read.Of(role) {
			r.service.keepMarks(r)
		}
	}
	if r.waits() && !r.waiting {
		r.wait()
	}
	r.supportMoved(now())
	r.restore(seen.Support)
}

// bounded is a mark that sessions may know, in the log as it is.
func (r *room) bounded(m mark) mark {
	number := int64(len(r.state.Messages))
	return mark{min(m.Delivered, number), min(m.Read, number)}
}

// restore starts logging again what this server has to say in the log, and what the log may have lost:
// that the server attends, and that a support who is here has the chat. The caller holds mu.
func (r *room) restore(support log.Support) {
	if support.ID != "" {
		r.hadSupport = support
	}
	switch {
	case r.restoring:
		return
	case r.nextRestored() == nil:
		r.dismiss()
		return
	}
	r.restoring = true
	r.service.errand(r)
	if !r.service.start(r.keepRestoring) {
		r.service.releaseErrand(r)
	}
}

// nextRestored returns the next event to log again, nil if there is none. The caller holds mu.
func (r *room) nextRestored() *log.Event {
	s := r.service
	e := &log.Event{ID: s.eventID(), At: s.now(), Server: s.id}
	own, signals := r.state.Server(s.id), r.signals.subscription != nil
	switch support := r.hadSupport; {
	case r.gone || len(r.sessions) == 0:
		return nil
	case own.ID == "" || signals && !own.Signals:
		e.Kind, e.Fold, e.Signals = log.Attended, log.Version, signals
		return e
	case r.free() && !r.state.Had(support.ID) && r.hasSupport(support.ID):
		e.Kind, e.SupportID, e.SupportName, e.Agent = log.SupportJoined, support.ID, support.Name, support.Agent
		return e
	}
	return nil
}

// hasSupport reports whether a support with this id is here. The caller holds mu.
func (r *room) hasSupport(id string) bool {
	return slices.ContainsFunc(r.sessions, func(s *Session) bool { return s.role == log.RoleSupport && s.supportID == id })
}

// keepRestoring appends until nothing is left to be logged again.
func (r *room) keepRestoring(ctx context.Context) {
	defer r.service.releaseErrand(r)
	for ctx.Err() == nil {
		r.mu.Lock()
		e := r.nextRestored()
		if e == nil {
			r.restoring, r.hadSupport = false, log.Support{}
			r.dismiss()
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		if result := r.append(ctx, time.Now().Add(orphanTimeout), e, nil); result.refusal() != nil {
			sleep(ctx, orphanRetry)
		}
	}
}

// dismiss ends the sessions of supports whose taking of the chat was lost, and whom another support has
// come before. The caller holds mu.
func (r *room) dismiss() {
	for _, s := range r.sessions {
		if s.role == log.RoleSupport && r.state.Support.ID != "" && s.supportID != r.state.Support.ID && !r.state.Had(s.supportID) {
			s.peer.Close(wire.CloseTryLater, "the store has lost that this agent has taken the chat")
		}
	}
}

// keepVerifying has all rooms compared with their logs whenever the store may have lost something: at
// once, and when what was on its way to the former server has been answered.
func (s *Service) keepVerifying(ctx context.Context) {
	replaced := s.db.Replaced()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-replaced:
		}
		replaced = s.db.Replaced()
		s.verify(ctx)
		sleep(ctx, storeTimeout)
		s.verify(ctx)
	}
}

// verifiers is how many logs are read at once.
const verifiers = 32

func (s *Service) verify(ctx context.Context) {
	s.mu.Lock()
	rooms := make([]*room, 0, len(s.rooms))
	for _, r := range s.rooms {
		r.errands++
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	slots := make(chan struct{}, verifiers)
	for _, r := range rooms {
		slots <- struct{}{}
		go func() {
			r.verify(ctx)
			s.releaseErrand(r)
			<-slots
		}()
	}
	for range verifiers { // wait for all
		slots <- struct{}{}
	}
}

// verify starts again from the log if its beginning is not what the room has applied. It waits until the log can
// be read.
func (r *room) verify(ctx context.Context) {
	defer r.flush()
	for ctx.Err() == nil {
		r.mu.Lock()
		before, skip := r.last, r.gone || r.last == 0
		r.mu.Unlock()
		if skip { // at 0 it is being read from the beginning
			return
		}
		entries, err := r.fetch(ctx, 0)
		switch {
		case errors.Is(err, log.ErrGone):
			r.expire()
			return
		case err != nil:
			sleep(ctx, 250*time.Millisecond)
		case r.compare(before, entries):
			return
		}
	}
}

// compare starts again from the log's entries if they are not what the room has applied. They were read
// when the room was at position before. It returns false if the log has grown too much since.
func (r *room) compare(before int64, entries []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch size := int64(len(entries)); {
	case r.gone || r.last == 0:
	case size < before:
		r.rebuild(entries)
		r.stale = true // there may be more by now
		r.startReading()
	case size < r.last:
		return false
	case r.agrees(entries[:r.last]):
		r.take(r.last, entries[r.last:])
	default:
		r.rebuild(entries)
	}
	return true
}

// agrees reports whether these entries have led to the room's state. The caller holds mu.
func (r *room) agrees(entries []string) bool {
	var state log.State
	for _, entry := range entries {
		state.Apply(log.Decode([]byte(entry)))
	}
	return state.Equal(&r.state)
}

// told reports whether sessions that have seen a chat in this state know an event.
func told(seen *log.State, e *log.Event) bool {
	switch e.Kind {
	case log.Messaged:
		_, old := seen.Find(e.From, e.MessageID, e.ID)
		return old
	case log.SupportJoined:
		return e.SupportID == seen.Support.ID || seen.Had(e.SupportID)
	case log.Released:
		return seen.Had(e.SupportID)
	case log.Closed:
		return seen.Closed.From != ""
	case log.Noted:
		return seen.HasNote(e.ID)
	case log.Rated:
		return e.Score == seen.Rating.Score && e.Content == seen.Rating.Comment
	}
	return false
}
