package chat

import (
	"container/heap"
	"context"
	"time"
)

// expiryHeap orders rooms by the time at which to look whether they expired.
type expiryHeap []expiryEntry

type expiryEntry struct {
	at   time.Time
	room *room
}

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(expiryEntry)) }
func (h *expiryHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = expiryEntry{}
	*h = old[:len(old)-1]
	return last
}

// watch sees to it that a room is looked at when its deadline comes. A room is
// watched once, for as long as it is open.
func (s *Service) watch(r *room, at time.Time) {
	s.mu.Lock()
	heap.Push(&s.expiry, expiryEntry{at, r})
	s.mu.Unlock()
}

// watchExpiry ends the rooms whose chats have expired. Messages only move a
// room's deadline; the heap follows when the old one comes.
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
		s.expireDue(ctx, time.Now())
	}
}

func (s *Service) expireDue(ctx context.Context, now time.Time) {
	var due []*room
	s.mu.Lock()
	for len(s.expiry) > 0 && !s.expiry[0].at.After(now) {
		due = append(due, heap.Pop(&s.expiry).(expiryEntry).room)
	}
	s.mu.Unlock()
	var ids []string
	rooms := due[:0]
	for _, r := range due {
		switch deadline, open := r.expiresAt(); {
		case !open:
		case deadline.After(now):
			s.watch(r, deadline)
		default:
			rooms = append(rooms, r)
			ids = append(ids, r.chatID)
		}
	}
	if len(ids) == 0 {
		return
	}
	// The store decides: a Join on another server renews a chat without news.
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rest, err := s.logs.Rest(ctx, ids)
	for i, r := range rooms {
		switch {
		case err != nil:
			s.watch(r, now.Add(time.Second))
		case rest[i] == 0:
			r.expire()
		default:
			s.watch(r, now.Add(rest[i]))
		}
	}
}
