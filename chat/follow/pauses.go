package follow

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"livesupport/chat/log"

	"github.com/redis/go-redis/v9"
)

const (
	// giveUpAfter is the age at which an event that was not accepted is dropped.
	giveUpAfter = 24 * time.Hour
	// firstPause is the pause after the first try. Each later pause is twice as long, up to
	// maxPause.
	firstPause, maxPause = 2 * time.Second, time.Hour
	// logMargin is how long before the end of a log the last try of its events takes place.
	logMargin = 10 * time.Second
)

// errAway is the result of an event that is not tried because the listener is unavailable.
var errAway = errors.New("follow: the listener is unavailable")

// heldFor returns how long after its time a chat is visited although the listener is unavailable,
// because its events may be too old or its log about to expire.
func (f *Follower) heldFor() time.Duration { return min(time.Hour, f.cfg.Logs.Grace()/8) }

// send tries to send an event to the listener.
func (t *tail) send(ctx context.Context, v *visiting, e Event) error {
	if resting, _ := t.standing.resting(); resting && !v.look {
		if t.standing.isStopped() {
			return ErrStopped
		}
		return errAway
	}
	attempt, cancel := context.WithTimeout(ctx, SendTimeout)
	err := t.listener.Send(attempt, e)
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			return err // this process is ending
		}
		v.look = false
		t.news.metrics.errors.Inc()
	} else {
		t.news.metrics.delay.Observe(float64(t.cfg.DB.Now().UnixMicro()-e.At) / 1e6)
	}
	if t.standing.took(v.chatID, err) {
		t.told.again()
		t.nudge()
	}
	return err
}

// nextTry returns the time of the next try of an event, in milliseconds since 1970, or 0 to drop
// it. While the listener is unavailable, its chats stay due and wait only for its return.
func (t *tail) nextTry(ctx context.Context, v *visiting, e Event, err error) int64 {
	now, held := t.cfg.DB.Now(), t.heldFor()
	last := time.UnixMicro(e.At).Add(giveUpAfter)
	if v.ended {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		rest := redis.NewIntCmd(ctx, "pttl", t.cfg.Logs.EndedKey(v.chatID))
		if t.do(ctx, rest) == nil {
			gone := now.Add(time.Duration(rest.Val())*time.Millisecond - logMargin)
			if last.After(gone) {
				last = gone
			}
		}
	}
	if resting, _ := t.standing.resting(); resting {
		if !now.Before(last) {
			return 0
		}
		next := now.Add(firstPause)
		if latest := last.Add(-held); next.After(latest) { // the visit is heldFor later at most
			next = latest
		}
		return next.UnixMilli()
	}
	wait := min(backoff(v.tries), t.cfg.Logs.Grace()/2)
	var busy *BusyError
	if errors.As(err, &busy) {
		wait = max(wait, min(busy.After, maxPause))
	}
	v.tries++
	if v.ended {
		last = last.Add(-held) // the listener may be unavailable by then
	}
	if next := now.Add(wait); !next.After(last) {
		return next.UnixMilli()
	}
	return 0
}

// backoff returns the pause after the given number of tries.
func backoff(tries int64) time.Duration {
	d := maxPause
	if tries < 12 {
		d = min(firstPause<<tries, maxPause)
	}
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// putOff makes the tail try the chat again at a time, and forgets what it has read after the
// event.
func (t *tail) putOff(ctx context.Context, v *visiting, at int64) error {
	*v.fold = fold{}
	return t.store(ctx, func(ctx context.Context) error {
		off := log.PutOff(ctx, t.due, v.chatID, v.until, at)
		if err := t.save(ctx, v, off); err != nil {
			return err
		}
		if off.Val() == 0 {
			return errLeaseLost
		}
		t.told.end(v, at)
		return nil
	})
}
