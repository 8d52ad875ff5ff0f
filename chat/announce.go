package chat

import (
	"context"
	"slices"
	"time"

	"livesupport/chat/log"
)

// Whether a user waits is in the queue, not in the chat's log. But followers of live chats
// only see the log, so for them a room logs that the user waits. It does so before it puts
// the user into the queue, so that no crash in between loses the entry, and only if the user
// is not in the queue. A release needs no such entry.

// announceJoined logs it for a user who joins, who may already be in the queue.
func (r *room) announceJoined(ctx context.Context) error {
	if r.service.cfg.Appended == nil {
		return nil
	}
	missing, err := r.service.queue.Renew(ctx, []string{r.chatID})
	if err != nil || !slices.Contains(missing, r.chatID) {
		return err
	}
	return r.announceWaiting(ctx)
}

// announceWaiting logs it for a user who is not in the queue.
func (r *room) announceWaiting(ctx context.Context) error {
	if r.service.cfg.Appended == nil {
		return nil
	}
	r.mu.Lock()
	known := r.saidWaiting || r.state.Support.ID != "" || r.closed() ||
		r.state.Released().Support.ID != "" && r.service.recent(r.state.Released().At)
	seen := r.state.Waits
	r.mu.Unlock()
	if known {
		return nil
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(storeTimeout)
	}
	e := &log.Event{Kind: log.Announced, ID: r.service.eventID(), At: r.service.now(), Seq: seen}
	result := r.append(ctx, deadline.Add(-lastTry), e, nil)
	err := result.refusal()
	if err == nil || result.late {
		r.announced(true)
	}
	return err
}

// announced records whether the log is ahead of the queue.
func (r *room) announced(said bool) {
	r.mu.Lock()
	r.saidWaiting = said
	r.mu.Unlock()
}
