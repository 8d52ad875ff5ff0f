package chat

import (
	"context"
	"errors"
	"time"

	"livesupport/lobby/wire"
)

// errOutage refuses at once what would only wait for its turn to fail.
var errOutage = errors.New("chat: the store takes nothing at present")

// storeFailed notes that an append to a chat has waited in vain. From then on
// appends are refused at once, lest the messages of one socket wait for each
// other longer than a sender may be left without an answer, until the store
// takes a write again.
func (s *Service) storeFailed(chatID string) {
	if !s.outage.CompareAndSwap(false, true) {
		return
	}
	s.logger.Warn("the store takes no messages", "chat", wire.ShortID(chatID))
	if !s.start(func(ctx context.Context) { s.awaitStore(ctx, chatID) }) {
		s.outage.Store(false)
	}
}

func (s *Service) awaitStore(ctx context.Context, chatID string) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, storeTimeout)
		err := s.logs.Try(attempt, chatID)
		cancel()
		if err == nil {
			s.outage.Store(false)
			s.logger.Info("the store takes messages again")
			return
		}
		sleep(ctx, 100*time.Millisecond)
	}
}
