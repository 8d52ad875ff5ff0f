package follow

import (
	"context"
	"slices"
	"time"

	"livesupport/chat/log"
)

// tellEvery is the minimum time between two updates of the list. Chats that are reported
// in between are added together.
const tellEvery = 5 * time.Millisecond

// tellLoop puts chats with new entries on the list. While one batch is being written, the next
// one is collected.
func (t *tail) tellLoop(ctx context.Context) {
	for {
		select {
		case <-t.told.wake:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastNews)
			defer cancel()
			t.tell(last, false)
			return
		}
		if t.tell(ctx, true) {
			pause(ctx, tellEvery)
		} else {
			pause(ctx, 250*time.Millisecond)
		}
	}
}

// tell tries to put the reported chats on the list, and reports whether nothing is left. With
// claim it also starts visits, as many as there are free workers, unless the listener is
// unavailable.
func (t *tail) tell(ctx context.Context, claim bool) bool {
	chatIDs, epoch := t.told.take()
	if len(chatIDs) == 0 {
		return true
	}
	attempt, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if t.cfg.DB.AwaitTime(attempt) != nil {
		t.told.failed(chatIDs)
		return false
	}
	resting, everywhere := t.standing.resting()
	until := make([]int64, 0, len(chatIDs))
	for some := range slices.Chunk(chatIDs, sweepPiece) {
		free := 0
		for claim && !resting && free < len(some) && t.slot() {
			free++
		}
		answers, lease, err := log.Claim(attempt, t.cfg.DB, t.due, some, free, tailLease)
		for i, answer := range answers {
			if answer == log.Claimed {
				free--
				t.start(ctx, some[i], lease, false)
			}
		}
		for range free {
			<-t.slots
		}
		if err != nil {
			t.told.failed(chatIDs)
			return false
		}
		until = append(until, answers...)
	}
	if everywhere {
		for i := range until {
			until[i] = untilBack
		}
	}
	t.told.done(chatIDs, until, epoch)
	if !resting && slices.Contains(until, 0) {
		t.nudge()
	}
	return true
}
