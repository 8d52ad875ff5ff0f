package chat

import (
	"context"
	"time"
	"unicode/utf8"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

const (
	// typingEvery is the minimum time between two signals of a socket's typing.
	typingEvery = time.Second
	// typingRenews is how long after the last message or Join typing still renews a chat.
	typingRenews = 10 * time.Minute
	// maxPreview is the maximum number of characters in a preview.
	maxPreview = 1000
)

var errPreview = wire.NewError(wire.TooLarge, "A preview can have at most 1,000 characters.")

// sessionTyping is what a session has sent and received about typing. room.mu guards it.
type sessionTyping struct {
	says   bool    // the last Typing from it
	passed moment  // when that was last passed on
	told   [2]bool // the last Typing of each side that it was sent
}

// typed is how typing keeps a chat alive. room.mu guards it.
type typed struct {
	at      moment // when somebody last typed
	watched bool   // a timer is set
}

// typing handles a session's Typing (web/api/README.md, "typing").
func (r *room) typing(s *Session, args *typingArgs) error {
	if args.Typing == nil {
		return wire.Missing("typing")
	}
	var text *string
	if s.role == log.RoleUser && *args.Typing && r.service.cfg.TypingPreview {
		text = args.Text
	}
	if text != nil && utf8.RuneCountInString(*text) > maxPreview {
		return errPreview
	}
	r.mu.Lock()
	defer r.flush()
	defer r.mu.Unlock()
	switch {
	case r.closed():
		return errClosed
	case r.state.Support.ID == "":
		return nil
	case !r.owns(s):
		return errNotYours
	}
	if *args.Typing {
		at := now()
		s.typing.says = true
		r.noteTyped(at)
		if at.sub(s.typing.passed) < typingEvery {
			return nil
		}
		s.typing.passed = at
	} else {
		if !s.typing.says {
			return nil
		}
		s.typing.says = false
	}
	r.tellTyping(s.role, *args.Typing, text)
	r.signal(signal{From: s.role, Typing: args.Typing, Text: text})
	return nil
}

// stopTyping ends the typing of a session that leaves. The caller holds mu.
func (r *room) stopTyping(s *Session) {
	if s.typing.says {
		s.typing.says = false
		r.tellTyping(s.role, false, nil)
		r.signal(signal{From: s.role, Typing: new(bool)})
	}
}

// tellTyping tells the other role's sessions that somebody of this role is typing. It reports
// the end only to sessions that know of the beginning. The caller holds mu.
func (r *room) tellTyping(role log.Role, typing bool, text *string) {
	var plain, preview []byte // each encoded once, on first use
	for _, s := range r.sessions {
		told := &s.typing.told[side(role)]
		if s.role == role || !s.features.has(featureTyping) || !typing && !*told {
			continue
		}
		*told = typing
		frame, shown := &plain, (*string)(nil)
		if text != nil && s.role == log.RoleSupport && s.features.has(featurePreview) {
			frame, shown = &preview, text
		}
		if *frame == nil {
			*frame = r.service.frame(typingPayload(role, typing, shown))
		}
		s.peer.Queue(*frame)
	}
}

// typingTolerance is how precisely typing extends the life of a chat.
func (s *Service) typingTolerance() time.Duration { return min(20*time.Second, s.logs.TTL()/5) }

// noteTyped renews the chat from now, unless nothing but typing has happened for typingRenews.
// It does not write to the store each time, but only when the chat would end otherwise. The
// caller holds mu.
func (r *room) noteTyped(at moment) {
	if at.sub(r.active) > typingRenews {
		return
	}
	r.typed.at = at
	rest := r.deadline.sub(at) - r.service.typingTolerance()
	switch {
	case rest <= 0:
		r.renewTyped()
	case !r.typed.watched:
		r.typed.watched = true
		r.service.timers.after(rest, func() {
			r.mu.Lock()
			r.typed.watched = false
			if !r.gone {
				r.renewTyped()
			}
			r.mu.Unlock()
		})
	}
}

// renewTyped renews the chat if somebody has typed since the last renewal. The caller holds
// mu.
func (r *room) renewTyped() {
	ttl := r.service.logs.TTL()
	end := r.typed.at.add(ttl)
	if r.closed() || end <= r.deadline {
		return
	}
	r.deadline = end
	r.service.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		if err := r.service.logs.KeepFor(ctx, r.chatID, end.until()); err != nil {
			r.service.logger.Warn("cannot renew a chat in which somebody is typing", "chat", wire.ShortID(r.chatID), "error", err)
		}
	})
}
