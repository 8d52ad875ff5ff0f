package chat

import (
	"context"
	"strings"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
)

const (
	// tellWrittenEvery is the minimum time between two reports to the queue of what waiting
	// users have written. Each report has all users.
	tellWrittenEvery = time.Second
	// shownCharacters is how much of a message the lobby shows.
	shownCharacters = 200
)

// noteWritten makes the service tell the queue that the user who waits in r has written.
func (s *Service) noteWritten(r *room) {
	s.mu.Lock()
	s.written[r] = struct{}{}
	s.mu.Unlock()
	select {
	case s.wrote <- struct{}{}:
	default:
	}
}

// tellWritten reports to the queue. A report may be late, or fail for a user who is not in the
// queue: a user who is added later brings the current record along.
func (s *Service) tellWritten(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-s.wrote:
		case <-ctx.Done():
			return
		}
		rooms := s.takeWritten()
		users := make([]lobby.User, 0, len(rooms))
		for r := range rooms {
			r.mu.Lock()
			if r.waiting {
				users = append(users, r.user())
			}
			r.mu.Unlock()
		}
		attempt, cancel := context.WithTimeout(ctx, storeTimeout)
		err := s.queue.Change(attempt, users)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.logger.Debug("cannot tell the queue what waiting users have written", "error", err)
			for r := range rooms {
				s.noteWritten(r)
			}
		}
		sleep(ctx, tellWrittenEvery)
	}
}

func (s *Service) takeWritten() map[*room]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := s.written
	s.written = map[*room]struct{}{}
	return rooms
}

// latestMessage returns the beginning of the user's latest message, or the names of its files
// if it has no text.
func latestMessage(s *log.State) string {
	for i := len(s.Messages) - 1; i >= 0; i-- {
		m := &s.Messages[i]
		if m.From != log.RoleUser {
			continue
		}
		if m.Content != "" {
			return beginning(m.Content, shownCharacters)
		}
		var names []string
		for _, f := range s.Files(m) {
			names = append(names, f.Name)
		}
		return beginning(strings.Join(names, ", "), shownCharacters)
	}
	return ""
}

// beginning returns the first n characters of s.
func beginning(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}
