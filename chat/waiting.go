package chat

import (
	"context"
	"maps"
	"slices"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

func (s *Service) startWaiting(r *room) {
	s.mu.Lock()
	s.waiting[r] = struct{}{}
	s.mu.Unlock()
	s.standing.soon(r)
}

// waits reports whether the chat's user is here and has no support. The caller holds
// mu.
func (r *room) waits() bool {
	return r.state.Support.ID == "" && !r.closed() && !r.gone && r.presentHere(log.RoleUser) != unknown
}

// wait records that the user waits. The caller must put the user into the queue, and holds mu.
func (r *room) wait() {
	r.waiting = true
	r.service.startWaiting(r)
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
			s.logger.Warn("cannot renew waiting users", "error", err)
			pause = min(pause, 250*time.Millisecond) // renew soon after the store is back
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
		err := rooms[id].announceWaiting(ctx)
		if err == nil {
			err = rooms[id].queueAgain(ctx)
		}
		if err != nil {
			s.logger.Warn("cannot put a waiting user back into the queue", "chat", wire.ShortID(id), "error", err)
		}
	}
	// A user who has left meanwhile may have done so before the renewal.
	still := s.waitingRooms()
	ids = slices.DeleteFunc(ids, func(id string) bool { return still[id] != nil })
	return s.queue.Leave(ctx, ids...)
}

// leave removes a session. When the last socket of a waiting user closes here, the user has
// the grace time to come back, and the chat its full time to live.
func (r *room) leave(s *Session) {
	r.mu.Lock()
	r.stopTyping(s)
	r.sessions = slices.DeleteFunc(r.sessions, func(other *Session) bool { return other == s })
	r.forgetShown(s)
	if s.role.Valid() {
		r.presenceChanged(s.role)
		r.announce()
		r.supportMoved(now())
	}
	left := r.waiting && !slices.ContainsFunc(r.sessions, func(other *Session) bool { return other.role == log.RoleUser })
	if left {
		r.waiting = false
		r.service.stopWaiting(r)
	}
	r.mu.Unlock()
	r.flush()
	if !left {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	_, err := r.service.logs.Keep(ctx, []string{r.chatID})
	if err == nil {
		err = r.service.queue.Leave(ctx, r.chatID)
	}
	if err != nil {
		r.service.logger.Warn("cannot tell the store that a waiting user has left", "chat", wire.ShortID(r.chatID), "error", err)
	}
}
