package chat

import (
	"context"
	"maps"
	"slices"
	"time"
)

func (s *Service) startWaiting(r *room) {
	s.mu.Lock()
	s.waiting[r] = struct{}{}
	s.mu.Unlock()
	s.standing.soon(r)
}

func (s *Service) stopWaiting(r *room) {
	s.mu.Lock()
	delete(s.waiting, r)
	delete(s.written, r)
	s.mu.Unlock()
}

// keepWaiting renews the chats and the places of the users who wait here.
func (s *Service) keepWaiting(ctx context.Context) {
	for ctx.Err() == nil {
		pause := s.queue.RenewEvery()
		if err := s.renewWaiting(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("renewing waiting users", "error", err)
			pause = min(pause, 250*time.Millisecond) // there is no time to lose once the store is back
		}
		sleep(ctx, pause)
	}
}

func (s *Service) renewWaiting(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.renew(ctx, s.waitingRooms())
}

// waitingRooms returns the rooms whose users wait here, by chat.
func (s *Service) waitingRooms() map[string]*room {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := make(map[string]*room, len(s.waiting))
	for r := range s.waiting {
		rooms[r.chatID] = r
	}
	return rooms
}

// renew renews the chats and places of these rooms.
func (s *Service) renew(ctx context.Context, rooms map[string]*room) error {
	if len(rooms) == 0 {
		return nil
	}
	ids := slices.Collect(maps.Keys(rooms))
	gone, err := s.logs.Keep(ctx, ids)
	if err != nil {
		return err
	}
	for _, r := range rooms {
		r.renewed()
	}
	for _, id := range gone {
		rooms[id].expire()
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(gone, id) })
	missing, err := s.queue.Renew(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range missing {
		rooms[id].waitAgain(ctx)
	}
	// Who has left meanwhile may have said so before the renewal was done.
	still := s.waitingRooms()
	ids = slices.DeleteFunc(ids, func(id string) bool { return still[id] != nil })
	return s.queue.Leave(ctx, ids...)
}
