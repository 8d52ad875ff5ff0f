package chat

import (
	"context"
	"maps"
	"slices"
	"time"

	"livesupport/lobby"
)

// tellLater publishes a position later. It does not block.
func (s *Service) tellLater(chatID string, seq int64) {
	s.mu.Lock()
	s.untold[chatID] = max(s.untold[chatID], seq)
	s.mu.Unlock()
	s.wakeRetry()
}

func (s *Service) wakeRetry() {
	select {
	case s.retry <- struct{}{}:
	default:
	}
}

// retryLoop retries what could not be done at once, see Service.
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

// catchUp tries everything once and reports whether nothing is left.
func (s *Service) catchUp(ctx context.Context) bool {
	s.mu.Lock()
	unqueued, queued, unheld, untold := s.unqueued, s.queued, s.unheld, s.untold
	s.unqueued, s.queued = map[string]*lobby.Held{}, map[*room]struct{}{}
	s.unheld, s.untold = map[string]struct{}{}, map[string]int64{}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for chatID, held := range unqueued {
		var err error
		if held != nil {
			err = s.queue.Taken(ctx, *held)
		} else {
			err = s.queue.Remove(ctx, chatID)
		}
		if err != nil {
			break
		}
		delete(unqueued, chatID)
	}
	for r := range queued {
		if err := r.queueAgain(ctx); err != nil {
			break
		}
		delete(queued, r)
		s.releaseErrand(r)
	}
	if len(unheld) > 0 && s.queue.Drop(ctx, slices.Collect(maps.Keys(unheld))...) == nil {
		clear(unheld)
	}
	for chatID, seq := range untold {
		if err := s.cfg.Broker.Publish(ctx, topic(chatID), encodeNews(seq, nil, "")); err != nil {
			break
		}
		delete(untold, chatID)
	}
	for r := range queued {
		s.queueSoon(r)
		s.releaseErrand(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for chatID, held := range unqueued {
		if now, known := s.unqueued[chatID]; !known || now == nil {
			s.unqueued[chatID] = held
		}
	}
	maps.Copy(s.unheld, unheld)
	for chatID, seq := range untold {
		s.untold[chatID] = max(s.untold[chatID], seq)
	}
	return len(s.unqueued)+len(s.queued)+len(s.unheld)+len(s.untold) == 0
}
