package chat

import (
	"container/heap"
	"context"
	"time"
)

// expiryHeap orders rooms by the time of the next check for expiry.
type expiryHeap []expiryEntry

type expiryEntry struct {
	at   moment
	room *room
}

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(expiryEntry)) }
func (h *expiryHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = expiryEntry{}
	*h = old[:len(old)-1]
	return last
}

// watch makes watchExpiry check a room at its deadline. Call it once for each room.
func (s *Service) watch(r *room, at moment) {
	s.mu.Lock()
	heap.Push(&s.expiry, expiryEntry{at, r})
	s.mu.Unlock()
}

// watchExpiry ends the rooms of expired chats. Messages only move a room's deadline; the
// heap is updated when the old deadline comes.
func (s *Service) watchExpiry(ctx context.Context) {
	interval := max(5*time.Millisecond, min(100*time.Millisecond, s.logs.TTL()/20))
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		s.expireDue(ctx, now())
		s.newcomers.forget()
	}
}

func (s *Service) expireDue(ctx context.Context, now moment) {
	var due []*room
	s.mu.Lock()
	for len(s.expiry) > 0 && s.expiry[0].at <= now {
		due = append(due, heap.Pop(&s.expiry).(expiryEntry).room)
	}
	s.mu.Unlock()
	var ids []string
	rooms := due[:0]
	for _, r := range due {
		switch deadline, open := r.expiresAt(); {
		case !open:
		case deadline > now:
			s.watch(r, deadline)
		default:
			rooms = append(rooms, r)
			ids = append(ids, r.chatID)
		}
	}
	if len(ids) == 0 {
		return
	}
	// The store decides, because a Join on another server renews a chat without news.
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rest, err := s.rest(ctx, ids)
	for i, r := range rooms {
		switch {
		case err != nil:
			s.watch(r, now.add(time.Second))
		case rest[i] == 0:
			r.expire()
		default:
			s.watch(r, now.add(rest[i]))
		}
	}
}

// rest returns how long each chat still lives, 0 if it is gone or has just ended.
func (s *Service) rest(ctx context.Context, chatIDs []string) ([]time.Duration, error) {
	if s.cfg.Keeper != nil {
		return s.cfg.Keeper.End(ctx, chatIDs)
	}
	return s.logs.Rest(ctx, chatIDs)
}
