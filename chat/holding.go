package chat

import (
	"context"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
)

// holdEvery is how often this server asks the queue whether it wants to know the chats with
// a support, and reports them.
const holdEvery = time.Second

// heldBy returns the chat, with its new support, in the form for the queue. The caller
// holds mu.
func (r *room) heldBy(by log.Support) *lobby.Held {
	return &lobby.Held{
		User:  lobby.User{Username: r.state.Username, UserID: r.state.UserID, ChatID: r.chatID, Team: r.state.Team},
		Agent: by.Agent, SupportID: by.ID, SupportUserName: by.Name, Since: by.Since,
	}
}

// heldNow is heldBy for the chat's support, nil if it has none. The caller holds mu.
func (r *room) heldNow() *lobby.Held {
	if r.state.Support.ID == "" {
		return nil
	}
	return r.heldBy(r.state.Support)
}

// hold and letGo record whether the chat has a support. The caller holds mu.
func (r *room) hold() {
	if r.held || r.closed() {
		return
	}
	r.held = true
	r.service.mu.Lock()
	r.service.held[r] = struct{}{}
	r.service.mu.Unlock()
}

func (r *room) letGo() {
	if !r.held {
		return
	}
	r.held = false
	r.service.mu.Lock()
	delete(r.service.held, r)
	r.service.mu.Unlock()
}

// keepHeld reports the chats with a support to the queue while it wants to know them.
func (s *Service) keepHeld(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, holdEvery)
		if err := s.renewHeld(ctx); err != nil && ctx.Err() == nil {
			s.logger.Debug("cannot tell the queue which chats have a support", "error", err)
		}
	}
}

func (s *Service) renewHeld(ctx context.Context) error {
	s.mu.Lock()
	some := len(s.held) > 0
	s.mu.Unlock()
	if !some {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if !s.watched.Load() {
		watched, err := s.queue.Hold(ctx, nil)
		if err != nil || !watched {
			return err
		}
	}
	watched, err := s.queue.Hold(ctx, s.heldChats())
	if err == nil {
		s.watched.Store(watched)
	}
	return err
}

// heldChats returns the chats with a support that have a room here.
func (s *Service) heldChats() []lobby.Held {
	s.mu.Lock()
	rooms := make([]*room, 0, len(s.held))
	for r := range s.held {
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	chats := make([]lobby.Held, 0, len(rooms))
	for _, r := range rooms {
		r.mu.Lock()
		if held := r.heldNow(); held != nil && r.held {
			chats = append(chats, *held)
		}
		r.mu.Unlock()
	}
	return chats
}
