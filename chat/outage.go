package chat

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"livesupport/lobby/wire"
)

// errOutage refuses at once an append that would wait only to fail.
var errOutage = errors.New("chat: the store accepts no writes at present")

// outages are the parts of the store, such as a master of a Cluster, that accept no appends. Chats in
// other parts do not mind.
type outages struct {
	count atomic.Int32
	parts sync.Map // by name
}

// begin returns false if it is known that the part accepts no appends.
func (o *outages) begin(part string) bool {
	if _, known := o.parts.LoadOrStore(part, nil); known {
		return false
	}
	o.count.Add(1)
	return true
}

func (o *outages) end(part string) {
	o.parts.Delete(part)
	o.count.Add(-1)
}

// away reports whether the store accepts no appends to a chat at present.
func (s *Service) away(chatID string) bool {
	if s.outages.count.Load() == 0 {
		return false
	}
	_, away := s.outages.parts.Load(s.logs.Part(chatID))
	return away
}

// storeFailed records that an append to a chat has waited in vain. From then on, appends to that part
// of the store are refused at once until it accepts a write again. Otherwise the messages of one socket
// would wait for each other, and their sender too long for an answer.
func (s *Service) storeFailed(chatID string) {
	part := s.logs.Part(chatID)
	if !s.outages.begin(part) {
		return
	}
	s.logger.Warn("the store accepts no messages", "chat", wire.ShortID(chatID), "part", part)
	if !s.start(func(ctx context.Context) { s.awaitStore(ctx, chatID, part) }) {
		s.outages.end(part)
	}
}

func (s *Service) awaitStore(ctx context.Context, chatID, part string) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, storeTimeout)
		err := s.logs.Try(attempt, chatID)
		cancel()
		if err == nil {
			s.outages.end(part)
			s.logger.Info("the store accepts messages again", "part", part)
			return
		}
		sleep(ctx, 100*time.Millisecond)
	}
}
