package chat

import (
	"context"
	"time"
	"unicode/utf8"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

var (
	errObserver  = wire.NewError(wire.Forbidden, "An observer can only write notes, transfer the chat and end it.")
	errNoteUser  = wire.NewError(wire.Forbidden, "Only agents can write notes.")
	errNoteLong  = wire.NewError(wire.TooLarge, "A note can have at most 8,000 characters.")
	errNotesFull = wire.NewError(wire.ChatFull, "This chat cannot take any more notes.")
)

// note handles a Note of a support or an observer (web/api/README.md, "notes").
func (r *room) note(ctx context.Context, deadline time.Time, s *Session, content string) error {
	r.mu.Lock()
	owns, closed := r.owns(s), r.closed()
	name := s.name
	if s.role == log.RoleSupport {
		name = r.state.Support.Name
	}
	r.mu.Unlock()
	switch {
	case s.role == log.RoleUser:
		return errNoteUser
	case content == "":
		return wire.Missing("content")
	case utf8.RuneCountInString(content) > maxContent:
		return errNoteLong
	case !s.allowed():
		return errTooFast
	case !owns:
		return errNotYours
	case closed:
		return errClosed
	}
	result := r.append(ctx, deadline, &log.Event{
		Kind: log.Noted, ID: r.service.eventID(), At: r.service.now(), From: s.role,
		SupportID: s.supportID, SupportName: name, Content: content,
	}, nil)
	if result.outcome == log.Full {
		return errNotesFull
	}
	return result.refusal()
}

// tellNote sends a note to the sessions that have listed notes. The caller holds mu.
func (r *room) tellNote(n log.Note) {
	r.tell(featureNotes, nil, func() []byte { return notePayload(n) })
}

// showNotes sends all notes, in one piece, to a session that has just joined. The caller
// holds mu.
func (r *room) showNotes(s *Session) {
	var frames []byte
	for _, n := range r.state.Notes {
		frames = append(frames, r.service.frame(notePayload(n))...)
	}
	if frames != nil {
		s.peer.Queue(frames)
	}
}

// notePayload makes the only payload that has a note. Notes never become part of a message
// or a history.
func notePayload(n log.Note) []byte {
	return wire.Encode("Note", struct {
		Content         string `json:"content"`
		SupportID       string `json:"supportId"`
		SupportUserName string `json:"supportUserName"`
		Timestamp       string `json:"timestamp"`
	}{n.Content, n.SupportID, n.SupportName, timestamp(n.At)})
}
