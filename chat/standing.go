package chat

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
)

const (
	// standEvery is how often users are told what has changed. Where there are more
	// than manyWaiting of them it is standManyEvery, which still is soon enough.
	standEvery     = 2 * time.Second
	standManyEvery = 4 * time.Second
	manyWaiting    = 1000
	// standGather is for how long those who come are gathered for one look.
	standGather = 20 * time.Millisecond
	// standPiece bounds one look at the queue.
	standPiece = 500
)

// standing tells users who wait on this server, and have asked for it, how they
// stand in the queue. While nobody has asked it does nothing.
type standing struct {
	service *Service
	asking  atomic.Int64 // sessions that have asked, whether their users wait or not
	wake    chan struct{}

	mu    sync.Mutex
	fresh []*room // where somebody is to be told soon
}

// stands is what a session has been told.
type stands struct {
	known             bool
	position, waiting int
	estimate          int64 // seconds, or negative for unknown
}

func newStanding(s *Service) *standing {
	return &standing{service: s, wake: make(chan struct{}, 1)}
}

// joined counts a session that has asked, and has it told soon; closed is the end of
// it.
func (st *standing) joined(r *room) {
	st.asking.Add(1)
	st.soon(r)
}

func (st *standing) closed() { st.asking.Add(-1) }

// soon has the user of a room told soon, for whom a wait begins.
func (st *standing) soon(r *room) {
	if st.asking.Load() == 0 {
		return
	}
	st.mu.Lock()
	st.fresh = append(st.fresh, r)
	st.mu.Unlock()
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

func (st *standing) takeFresh() []*room {
	st.mu.Lock()
	defer st.mu.Unlock()
	rooms := st.fresh
	st.fresh = nil
	return rooms
}

func (st *standing) run(ctx context.Context) {
	round := time.NewTimer(standEvery)
	defer round.Stop()
	running := true // round will fire
	for {
		select {
		case <-ctx.Done():
			return
		case <-st.wake:
			sleep(ctx, standGather)
			st.look(ctx, st.takeFresh(), true)
		case <-round.C:
			running = false
			rooms := make([]*room, 0, 64)
			for _, r := range st.service.waitingRooms() {
				rooms = append(rooms, r)
			}
			n := st.look(ctx, rooms, false)
			every := standEvery
			if n > manyWaiting {
				every = standManyEvery
			}
			if st.asking.Load() > 0 {
				running = true
				round.Reset(every)
			}
		}
		if !running && st.asking.Load() > 0 {
			running = true
			round.Reset(standEvery)
		}
	}
}

// look looks how the users of these rooms stand and tells them what they have not
// been told: only those who have been told nothing yet, if first is set. It returns
// how many rooms have somebody to tell.
func (st *standing) look(ctx context.Context, rooms []*room, first bool) int {
	rooms = slices.DeleteFunc(rooms, func(r *room) bool { return !r.asksStanding(first) })
	for some := range slices.Chunk(rooms, standPiece) {
		ids := make([]string, len(some))
		for i, r := range some {
			ids[i] = r.chatID
		}
		attempt, cancel := context.WithTimeout(ctx, storeTimeout)
		s, err := st.service.queue.Stand(attempt, ids)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				st.service.logger.Debug("looking how users stand in the queue", "error", err)
			}
			break // the next round tells them
		}
		for i, r := range some {
			r.tellStanding(standsAt(s, i), first)
		}
	}
	return len(rooms)
}

// standsAt is how the queue stands for the user with an index.
func standsAt(s lobby.Standing, i int) stands {
	told := stands{known: true, position: s.Positions[i], waiting: s.Waiting, estimate: -1}
	if s.Interval >= 0 {
		wait := time.Duration(told.position) * s.Interval
		told.estimate = int64(wait.Round(time.Second) / time.Second)
	}
	return told
}

// asksQueue reports whether the session is a user's who wants to know.
func (s *Session) asksQueue() bool { return s.role == log.RoleUser && s.features.has(featureQueue) }

func (s *Session) wantsStanding(first bool) bool {
	return s.asksQueue() && !(first && s.stands.known)
}

// asksStanding reports whether somebody here is to be told.
func (r *room) asksStanding(first bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting && slices.ContainsFunc(r.sessions, func(s *Session) bool { return s.wantsStanding(first) })
}

// tellStanding tells the sessions that have not been told this, unless the wait is
// over.
func (r *room) tellStanding(now stands, first bool) {
	if now.position < 0 {
		return // it is not in the queue at this moment, but will be
	}
	var buf [2]*Session
	told := buf[:0]
	r.mu.Lock()
	if r.waiting && !r.gone {
		var frame []byte
		for _, s := range r.sessions {
			if !s.wantsStanding(first) || s.stands == now {
				continue
			}
			if frame == nil {
				frame = r.service.frame(queuePayload(now))
			}
			s.stands = now
			s.peer.Queue(frame)
			told = append(told, s)
		}
	}
	r.mu.Unlock()
	for _, s := range told {
		s.peer.Flush()
	}
}

// queuePayload is made for thousands at a time, so it encodes by hand.
func queuePayload(s stands) []byte {
	b := append(make([]byte, 0, 96), `{"type":"Queue","args":{"position":`...)
	b = strconv.AppendInt(b, int64(s.position), 10)
	b = append(b, `,"waiting":`...)
	b = strconv.AppendInt(b, int64(s.waiting), 10)
	b = append(b, `,"estimate":`...)
	if s.estimate < 0 {
		b = append(b, `null`...)
	} else {
		b = strconv.AppendInt(b, s.estimate, 10)
	}
	return append(b, `}}`...)
}
