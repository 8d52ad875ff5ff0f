package chat

import (
	"context"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// mark is the numbers of the last messages that a role has received and read
// (web/api/README.md, "receipts"). Reading implies delivery.
type mark struct {
	Delivered int64 `json:"delivered"`
	Read      int64 `json:"read"`
}

// raise raises a mark, and reports whether it has changed.
func (m *mark) raise(by mark) bool {
	before := *m
	m.Read = max(m.Read, by.Read)
	m.Delivered = max(m.Delivered, by.Delivered, m.Read)
	return *m != before
}

// marks are the marks of a chat's two sides, as its sessions know them. Read marks are also
// in the log, or will be within keepMarksEvery.
type marks [2]mark

// side returns the index of a role that takes part in a chat.
func side(r log.Role) int {
	if r == log.RoleSupport {
		return 1
	}
	return 0
}

var sides = [2]log.Role{log.RoleUser, log.RoleSupport}

// keepMarksEvery is the maximum time from a mark to its log entry. The marks of that time
// become one entry.
const keepMarksEvery = 500 * time.Millisecond

var errMark = wire.NewError(wire.BadRequest, `The fields "delivered" and "read" must be numbers of messages in this chat; at least one of them is required.`)

// receipt handles a session's Receipt.
func (r *room) receipt(ctx context.Context, s *Session, args *receiptArgs) error {
	if args.Delivered == nil && args.Read == nil {
		return errMark
	}
	var m mark
	for _, number := range []struct {
		from *int64
		to   *int64
	}{{args.Delivered, &m.Delivered}, {args.Read, &m.Read}} {
		if number.from == nil {
			continue
		}
		if *number.from < 0 {
			return errMark
		}
		*number.to = *number.from
	}
	number := max(m.Delivered, m.Read)
	// A number may be that of a message that the store has lost since.
	known, err := r.learns(ctx, func() bool { return number <= max(r.shown, int64(len(r.state.Messages))) })
	switch {
	case err != nil:
		return err
	case !known:
		return errMark
	}
	r.mu.Lock()
	grown := r.raise(s.role, r.bounded(m), s)
	if grown {
		r.signal(signal{From: s.role, Mark: &r.marks[side(s.role)]})
	}
	keep := grown && r.marks[side(s.role)].Read > *r.state.Read.Of(s.role)
	r.mu.Unlock()
	if keep {
		r.service.keepMarks(r)
	}
	r.flush()
	return nil
}

// raise raises a role's mark and informs the sessions that have listed receipts, except for
// the one that has sent it. The caller holds mu.
func (r *room) raise(role log.Role, by mark, except *Session) bool {
	m := &r.marks[side(role)]
	if !m.raise(by) {
		return false
	}
	r.tell(featureReceipts, except, func() []byte { return receiptPayload(role, *m) })
	return true
}

// showMarks sends the marks to a session that has just joined. The caller holds mu.
func (r *room) showMarks(s *Session) {
	for i, role := range sides {
		if m := r.marks[i]; m.Delivered > 0 {
			r.queueTo(s, receiptPayload(role, m))
		}
	}
}

// keepMarks makes keepMarksLoop log the read marks soon. The room stays open until then, even
// if all sessions leave.
func (s *Service) keepMarks(r *room) {
	s.mu.Lock()
	if _, known := s.marked[r]; !known {
		s.marked[r] = struct{}{}
		r.errands++
	}
	s.mu.Unlock()
	select {
	case s.markedNow <- struct{}{}:
	default:
	}
}

// keepMarksLoop logs the read marks of all chats together.
func (s *Service) keepMarksLoop(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-s.markedNow:
			sleep(ctx, keepMarksEvery)
			s.logMarks(ctx, storeTimeout)
		case <-ctx.Done():
		}
	}
}

// markWriters is how many chats' marks are logged concurrently.
const markWriters = 128

// logMarks logs the current read marks. It retries those that it cannot log in time.
func (s *Service) logMarks(ctx context.Context, within time.Duration) {
	s.mu.Lock()
	rooms := s.marked
	s.marked = map[*room]struct{}{}
	s.mu.Unlock()
	writers := make(chan struct{}, markWriters)
	for r := range rooms {
		writers <- struct{}{}
		go func() {
			if !r.logMarks(ctx, within) {
				s.keepMarks(r)
			}
			s.releaseErrand(r)
			<-writers
		}()
	}
	for range markWriters { // wait for all writers
		writers <- struct{}{}
	}
}

// logMarks appends each role's read mark, and reports whether nothing is left to log.
func (r *room) logMarks(ctx context.Context, within time.Duration) bool {
	for i, role := range sides {
		r.mu.Lock()
		read := r.marks[i].Read
		logged := read <= *r.state.Read.Of(role) || r.gone
		r.mu.Unlock()
		if logged {
			continue
		}
		result := r.append(ctx, time.Now().Add(within), &log.Event{
			Kind: log.Read, ID: r.service.eventID(), At: r.service.now(), From: role, Seq: read,
		}, nil)
		if result.err != nil && !r.isGone() {
			return false
		}
	}
	return true
}
