package chat

import (
	"context"
	"errors"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

var (
	errClosed   = wire.NewError(wire.ChatClosed, "This chat has been ended.")
	errNotYours = wire.NewError(wire.Forbidden, "This chat is not yours.")
	// errEnded: the chat has been closed, and this session has to be told that it has
	// expired: it has not listed the feature, or wants to take the chat.
	errEnded = errors.New("chat: has been closed")
)

// closeChat ends the chat for both sides (PROTOCOL.md, "close").
func (r *room) closeChat(ctx context.Context, deadline time.Time, s *Session) error {
	r.mu.Lock()
	closed := r.closed()
	owns := r.owns(s)
	known := r.state.Knows(log.Closed)
	r.mu.Unlock()
	switch {
	case closed:
		return nil
	case !owns:
		return errNotYours
	case !known:
		return wire.ErrUnavailable // until the servers with an older fold are gone
	}
	return r.append(ctx, deadline, &log.Event{
		Kind: log.Closed, ID: r.service.eventID(), At: r.service.now(), From: s.role, SupportID: s.supportID,
	}, nil).refusal()
}

// owns reports whether a session speaks for its side. The caller holds mu.
func (r *room) owns(s *Session) bool {
	return s.role != log.RoleSupport || s.supportID != "" && s.supportID == r.state.Support.ID
}

// closed reports whether the chat has been ended. The caller holds mu.
func (r *room) closed() bool { return r.state.Closed.From != "" }

// end takes leave of the sessions when the chat has been closed: who has not listed
// the feature learns that the chat has expired. The caller holds mu.
func (r *room) end() {
	left := r.sessions[:0]
	for _, s := range r.sessions {
		if s.features.has(featureClose) {
			r.queueTo(s, chatClosedPayload(&r.state))
			left = append(left, s)
		} else {
			s.expired()
		}
	}
	clear(r.sessions[len(left):])
	r.sessions = left
	if r.waiting {
		r.waiting = false
		r.service.stopWaiting(r)
		r.service.endInTime(r) // the wait may have renewed the chat since
	}
	r.deadline = r.renewal()
}

// renewal is when the chat expires that has just been renewed in the store: a closed
// one lives for the time to live from its closing. It is a local reading, independent
// of the wall clock. The caller holds mu.
func (r *room) renewal() time.Time {
	ttl := r.service.logs.TTL()
	if r.closed() {
		ttl -= time.Duration(r.service.now()-r.state.Closed.At) * time.Microsecond
	}
	return time.Now().Add(ttl)
}

// renewedNow notes that a message or a Join has renewed the chat. The caller holds mu.
func (r *room) renewedNow() {
	r.active = time.Now()
	r.deadline = r.renewal()
}

// endInTime takes back what an append or a renewal has done to a closed chat that
// was not known to be closed. It does not block.
func (s *Service) endInTime(r *room) {
	end := r.renewal()
	s.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		if err := s.logs.KeepFor(ctx, r.chatID, time.Until(end)); err != nil {
			s.logger.Debug("the end of a closed chat", "chat", wire.ShortID(r.chatID), "error", err)
		}
	})
}
