package chat

import (
	"context"
	"errors"
	"time"

	"livesupport/lobby/wire"
)

// errOutage refuses at once an append that would wait only to fail.
var errOutage = errors.New("chat: the store accepts no writes at present")

// storeFailed records that an append to a chat has waited in vain. From then on, appends are
// refused at once until the store accepts a write again. Otherwise the messages of one socket
// would wait for each other, and their sender too long for an answer.
func (s *Service) storeFailed(chatID string) {
	if !s.outage.CompareAndSwap(false, true) {
		return
	}
	s.logger.Warn("the store accepts no messages", "chat", wire.ShortID(chatID))
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
			s.logger.Info("the store accepts messages again")
			return
		}
		sleep(ctx, 100*time.Millisecond)
	}
}
