package chat

import (
	"context"
	"time"
	"unicode/utf8"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

const (
	// typingEvery is how often a socket's typing is passed on, at most.
	typingEvery = time.Second
	// typingRenews is for how long after the last message or Join typing renews a chat.
	typingRenews = 10 * time.Minute
	// maxPreview is the largest number of characters in what is being typed.
	maxPreview = 1000
)

var errPreview = wire.NewError(wire.TooLarge, "A preview holds at most 1,000 characters.")

// sessionTyping is what a session has said and been told of typing. It is guarded by
// room.mu.
type sessionTyping struct {
	says   bool      // the last that it has said
	passed time.Time // when that was passed on last
	told   [2]bool   // the last that it was told of each side
}

// typed is the life that typing gives a chat. It is guarded by room.mu.
type typed struct {
	at      time.Time // when somebody typed last
	watched bool      // a timer will look at it
}

// typing takes that a session types, or has stopped (PROTOCOL.md, "typing").
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
		now := time.Now()
		s.typing.says = true
		r.noteTyped(now)
		if now.Sub(s.typing.passed) < typingEvery {
			return nil
		}
		s.typing.passed = now
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

// tellTyping tells the other role's sessions that somebody of this one types, and
// those that were told so that it has ended. The caller holds mu.
func (r *room) tellTyping(role log.Role, typing bool, text *string) {
	var plain, preview []byte // each encoded once, when first needed
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

// typingTolerance is how exact the life is that typing gives a chat.
func (s *Service) typingTolerance() time.Duration { return min(20*time.Second, s.logs.TTL()/5) }

// noteTyped lets the chat live for its time from now, unless nothing else has happened
// for long. The store is told when the chat would end otherwise, not each time. The
// caller holds mu.
func (r *room) noteTyped(now time.Time) {
	if now.Sub(r.active) > typingRenews {
		return
	}
	r.typed.at = now
	rest := r.deadline.Sub(now) - r.service.typingTolerance()
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

// renewTyped renews the chat if somebody has typed since that was done last. The
// caller holds mu.
func (r *room) renewTyped() {
	ttl := r.service.logs.TTL()
	end := r.typed.at.Add(ttl)
	if r.closed() || !end.After(r.deadline) {
		return
	}
	r.deadline = end
	r.service.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		if err := r.service.logs.KeepFor(ctx, r.chatID, time.Until(end)); err != nil {
			r.service.logger.Warn("renewing a chat in which somebody types", "chat", wire.ShortID(r.chatID), "error", err)
		}
	})
}
