package follow

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

const (
	// awayAfter is the number of chats with unanswered tries, and no answer in between, after
	// which the listener counts as unavailable.
	awayAfter = 8
	// longestRest is the maximum pause between two checks whether the listener is back. The
	// first pause is firstPause, and each later one is twice as long.
	longestRest = 30 * time.Second
	// reachedFor is how long another process's report that it reaches the listener is valid.
	reachedFor = 3 * time.Second
	// warnEvery is the minimum time between two log lines about a failing listener.
	warnEvery = time.Minute
)

// standing records whether this process reaches a listener. While the listener is unavailable, or
// has asked for a pause, no events are tried except one now and then, to check whether it is back.
type standing struct {
	name string
	log  *slog.Logger
	key  string // has the time when any process last reached the listener

	mu      sync.Mutex
	nobody  map[string]struct{} // chats with unanswered tries since the last answer
	away    bool
	pause   time.Duration // between two checks
	until   time.Time     // end of the pause
	trying  bool          // a check is in progress
	others  bool          // other processes reach the listener
	reached bool          // this process has reached it since the last exchange
	said    string        // what this process last wrote to key
	failing bool          // a try has failed, the log has recorded it, and none has succeeded since
	warned  time.Time     // time of the last such log line
	stopped bool
}

func newStanding(l Listener, db *redisdb.DB, log *slog.Logger) *standing {
	return &standing{name: l.Name(), log: log, key: db.Key("chat:{follow}:" + l.Name() + ":reached"), nobody: map[string]struct{}{}}
}

// isStopped reports whether the listener wants no further events.
func (s *standing) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// resting reports whether this process sends no events now, and whether, as far as it knows, no
// other process does either.
func (s *standing) resting() (resting, everywhere bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resting = s.away || s.stopped
	return resting, resting && !s.others
}

// next returns how long to wait before the next visit, and whether that visit is a check if the
// listener is back.
func (s *standing) next() (rest time.Duration, look bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.away:
		return 0, false
	case s.trying:
		return sweepEvery, false
	}
	return max(0, time.Until(s.until)), true
}

// begin reports that a check has begun.
func (s *standing) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trying = true
}

// end reports that a check has ended, whatever its result.
func (s *standing) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trying = false
}

// took records the result of a try to send an event of a chat, and reports whether the listener
// has just come back.
func (s *standing) took(chatID string, err error) (back bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.reached = true
		if s.failing {
			s.failing = false
			s.log.Info("events are accepted again", "receiver", s.name)
		}
		return s.isBack()
	}
	if !s.failing && time.Since(s.warned) > warnEvery {
		s.failing, s.warned = true, time.Now()
		s.log.Warn("events have to wait in the store", "receiver", s.name, "error", err)
	}
	var busy *BusyError
	switch {
	case errors.Is(err, ErrStopped):
		if !s.stopped {
			s.stopped = true
			s.log.Error("a receiver of events wants no further events; it gets none until this process is restarted", "receiver", s.name)
		}
	case errors.As(err, &busy):
		s.away = true
		if until := time.Now().Add(min(busy.After, maxPause)); until.After(s.until) {
			s.until = until
		}
	case !errors.Is(err, ErrAway):
		return s.isBack() // the listener has answered
	case !s.away:
		s.nobody[chatID] = struct{}{}
		if s.away = len(s.nobody) >= awayAfter; s.away {
			s.rest(firstPause)
		}
	case time.Now().After(s.until):
		s.rest(min(2*max(s.pause, firstPause/2), longestRest))
	}
	return false
}

// isBack records that the listener is available, and reports whether it was not. The caller
// holds mu.
func (s *standing) isBack() bool {
	was := s.away
	s.away, s.pause = false, 0
	clear(s.nobody)
	return was
}

// rest makes the next check wait for d. The caller holds mu.
func (s *standing) rest(d time.Duration) {
	s.pause = d
	s.until = time.Now().Add(time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())))
}

// exchange returns the commands that tell the other processes that this one reaches the listener,
// or ask whether they do. heard takes the answer.
func (s *standing) exchange(ctx context.Context, now time.Time) (cmds []redis.Cmder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.away || s.stopped:
		cmds = append(cmds, redis.NewStringCmd(ctx, "get", s.key))
	case s.reached:
		s.said = strconv.FormatInt(now.UnixMilli(), 10)
		cmds = append(cmds, redis.NewStatusCmd(ctx, "set", s.key, s.said, "px", time.Hour.Milliseconds()))
	}
	s.reached = false
	return cmds
}

// heard reports whether other processes have begun to reach the listener.
func (s *standing) heard(cmds []redis.Cmder, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	others := false
	for _, cmd := range cmds {
		if get, ok := cmd.(*redis.StringCmd); ok && get.Val() != s.said {
			at, err := strconv.ParseInt(get.Val(), 10, 64)
			others = err == nil && now.Sub(time.UnixMilli(at)) < reachedFor
		}
	}
	news := others && !s.others
	s.others = others
	return news
}
