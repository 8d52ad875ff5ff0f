package chat

import (
	"context"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
)

const (
	// tellWrittenEvery is how often at most the queue is told what waiting users have
	// written: all of them in one step.
	tellWrittenEvery = time.Second
	// shownCharacters is how much of a message the lobby shows.
	shownCharacters = 200
)

// noteWritten has the queue told that the user who waits in r has written.
func (s *Service) noteWritten(r *room) {
	s.mu.Lock()
	s.written[r] = struct{}{}
	s.mu.Unlock()
	select {
	case s.wrote <- struct{}{}:
	default:
	}
}

// tellWritten keeps telling the queue. It may be late, or fail to be told of a user
// whom it does not have: whoever is added to it brings what is known then.
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
			s.logger.Debug("telling the queue what waiting users have written", "error", err)
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

// latestMessage is the beginning of what the user has written last.
func latestMessage(messages []log.Message) string {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].From == log.RoleUser {
			return beginning(messages[i].Content, shownCharacters)
		}
	}
	return ""
}

// beginning is the first n characters of s.
func beginning(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}
