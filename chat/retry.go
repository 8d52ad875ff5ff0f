package chat

import (
	"context"
	"time"
)

// tellLater publishes a position soon. It does not block.
func (s *Service) tellLater(chatID string, seq int64) {
	s.mu.Lock()
	s.untold[chatID] = max(s.untold[chatID], seq)
	s.mu.Unlock()
	s.wakeRetry()
}

// unqueue takes a chat out of the queue, soon; taken says that a support has it. It
// does not block.
func (s *Service) unqueue(chatID string, taken bool) {
	s.mu.Lock()
	s.unqueued[chatID] = s.unqueued[chatID] || taken
	s.mu.Unlock()
	s.wakeRetry()
}

func (s *Service) wakeRetry() {
	select {
	case s.retry <- struct{}{}:
	default:
	}
}

// retryLoop does what unqueue and publish have left to do.
func (s *Service) retryLoop(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-s.retry:
		case <-ctx.Done():
		}
		for !s.catchUp(ctx) && ctx.Err() == nil {
			sleep(ctx, 250*time.Millisecond)
		}
	}
}

// catchUp tries once and reports whether nothing is left.
func (s *Service) catchUp(ctx context.Context) bool {
	s.mu.Lock()
	unqueued, untold := s.unqueued, s.untold
	s.unqueued, s.untold = map[string]bool{}, map[string]int64{}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for chatID, taken := range unqueued {
		remove := s.queue.Remove
		if taken {
			remove = s.queue.Taken
		}
		if err := remove(ctx, chatID); err != nil {
			break
		}
		delete(unqueued, chatID)
	}
	for chatID, seq := range untold {
		if err := s.cfg.Broker.Publish(ctx, topic(chatID), encodeNews(seq, nil, "")); err != nil {
			break
		}
		delete(untold, chatID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for chatID, taken := range unqueued {
		s.unqueued[chatID] = s.unqueued[chatID] || taken
	}
	for chatID, seq := range untold {
		s.untold[chatID] = max(s.untold[chatID], seq)
	}
	return len(s.unqueued)+len(s.untold) == 0
}
