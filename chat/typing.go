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
	passed moment  // when the last Typing from it was passed on
	says   bool    // that Typing
	told   [2]bool // the last Typing of each side that it was sent
}

// typed is how typing keeps a chat alive. room.mu guards it.
type typed struct {
	at      moment // when somebody last typed
	watched bool   // a timer is set
}

// plainTyping has the frames of a Typing as clients usually write them, which need no decoding.
var plainTyping = map[string]typingArgs{
	`{"type":"Typing","args":{"typing":true}}`:  {Typing: new(true)},
	`{"type":"Typing","args":{"typing":false}}`: {Typing: new(false)},
}

// mayType reports whether a Typing of the session is not refused in any case.
func (s *Session) mayType() bool { return s.room != nil && s.role != log.RoleObserver }

// typing handles a session's Typing (web/api/README.md, "typing").
func (r *room) typing(s *Session, args *typingArgs) error {
	text, err := r.shownText(s, args)
	if err != nil {
		return err
	}
	r.mu.Lock()
	err = r.passTyping(s, args.Typing, text)
	r.flushUnlocking()
	return err
}

// typingNow is typing for callers that must not wait. It returns false, and has done nothing,
// if they would, or if there is an error to be answered.
func (r *room) typingNow(s *Session, args *typingArgs) bool {
	text, err := r.shownText(s, args)
	if err != nil || !r.mu.TryLock() {
		return false
	}
	err = r.passTyping(s, args.Typing, text)
	r.flushUnlocking()
	return err == nil
}

// shownText checks the args, and returns the text that may be shown to the support.
func (r *room) shownText(s *Session, args *typingArgs) (*string, error) {
	if args.Typing == nil {
		return nil, wire.Missing("typing")
	}
	if args.Text == nil || s.role != log.RoleUser || !*args.Typing || !r.service.cfg.TypingPreview {
		return nil, nil
	}
	if utf8.RuneCountInString(*args.Text) > maxPreview {
		return nil, errPreview
	}
	return args.Text, nil
}

// passTyping tells the other side that a session types, or that it has stopped. With an error
// it has done nothing. The caller holds mu.
func (r *room) passTyping(s *Session, typing *bool, text *string) error {
	switch {
	case r.closed():
		return errClosed
	case !r.owns(s):
		return errNotYours
	case r.state.Support.ID == "":
		return nil
	}
	if *typing {
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
	r.tellTyping(s.role, *typing, text)
	r.signal(signal{From: s.role, Typing: typing, Text: text})
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
	var preview []byte // encoded once, on first use
	for _, s := range r.sessions {
		told := &s.typing.told[side(role)]
		if s.role == role || !s.features.has(featureTyping) || !typing && !*told {
			continue
		}
		*told = typing
		if text == nil || s.role != log.RoleSupport || !s.features.has(featurePreview) {
			s.peer.Queue(r.service.typing.of(role, typing))
			continue
		}
		if preview == nil {
			preview = r.service.frame(typingPayload(role, typing, text))
		}
		s.peer.Queue(preview)
	}
}

// typingFrames are the frames of a Typing without a text, by side.
type typingFrames [2]struct{ begins, ends []byte }

func newTypingFrames(frame func([]byte) []byte) (f typingFrames) {
	for i, role := range sides {
		f[i].begins, f[i].ends = frame(typingPayload(role, true, nil)), frame(typingPayload(role, false, nil))
	}
	return f
}

func (f *typingFrames) of(role log.Role, typing bool) []byte {
	if typing {
		return f[side(role)].begins
	}
	return f[side(role)].ends
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
