package chat

import (
	"context"
	"errors"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

var (
	errClosed   = wire.NewError(wire.ChatClosed, "This chat has ended.")
	errNotYours = wire.NewError(wire.Forbidden, "This chat is not yours.")
	// errEnded means that the chat was closed and that this session gets ChatExpired,
	// because it has not listed the feature or wants to take the chat.
	errEnded = errors.New("chat: has been closed")
)

// closeChat ends the chat for both sides (web/api/README.md, "close").
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
		return wire.ErrUnavailable // as long as there are servers with an older fold
	}
	return r.append(ctx, deadline, &log.Event{
		Kind: log.Closed, ID: r.service.eventID(), At: r.service.now(), From: s.role, SupportID: s.supportID,
	}, nil).refusal()
}

// owns reports whether a session may act for its side. The caller holds mu.
func (r *room) owns(s *Session) bool {
	return s.role != log.RoleSupport || s.supportID != "" && s.supportID == r.state.Support.ID
}

// isOf is owns for callers that do not hold mu.
func (r *room) isOf(s *Session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owns(s)
}

// closed reports whether the chat was closed. The caller holds mu.
func (r *room) closed() bool { return r.state.Closed.From != "" }

// end informs the sessions that the chat was closed. Sessions without the feature get
// ChatExpired. The caller holds mu.
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
		r.service.endInTime(r) // waiting may have renewed the chat since
	}
	r.deadline = r.renewal()
	r.supportMoved(now())
	if r.held && r.service.watched.Load() {
		r.service.unhold(r.chatID)
	}
	r.letGo()
}

// renewal returns when the chat, which was just renewed in the store, expires. A closed chat
// expires its time to live after the closing. The result is a local reading that does not
// depend on the wall clock. The caller holds mu.
func (r *room) renewal() moment {
	ttl := r.service.logs.TTL()
	if r.closed() {
		ttl -= time.Duration(r.service.now()-r.state.Closed.At) * time.Microsecond
	}
	return now().add(ttl)
}

// renewedNow records that a message or a Join has renewed the chat. The caller holds mu.
func (r *room) renewedNow() {
	r.active = now()
	r.deadline = r.renewal()
}

// endInTime undoes a renewal of a chat by a server that did not know yet that it was
// closed. It does not block.
func (s *Service) endInTime(r *room) {
	end := r.renewal()
	s.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		if err := s.logs.KeepFor(ctx, r.chatID, end.until()); err != nil {
			s.logger.Debug("cannot reset the expiry of a closed chat", "chat", wire.ShortID(r.chatID), "error", err)
		}
	})
}
