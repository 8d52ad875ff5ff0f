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
	// standEvery is how often changes are sent to users. With more than manyWaiting users it
	// is standManyEvery, which is still often enough.
	standEvery     = 2 * time.Second
	standManyEvery = 4 * time.Second
	manyWaiting    = 1000
	// standGather is how long new users are collected for one reading of the queue.
	standGather = 20 * time.Millisecond
	// standPiece bounds the number of chats in one reading of the queue.
	standPiece = 500
)

// standing sends users who wait on this server, and have listed the feature, their place in
// the queue. Without such users it does nothing.
type standing struct {
	service *Service
	asking  atomic.Int64 // sessions with the feature, whether their users wait or not
	wake    chan struct{}

	mu    sync.Mutex
	fresh []*room // rooms with sessions to inform soon
}

// stands is the content of the last Queue that a session was sent.
type stands struct {
	known             bool
	position, waiting int32
	estimate          int32 // seconds, or negative for unknown
}

func newStanding(s *Service) *standing {
	return &standing{service: s, wake: make(chan struct{}, 1)}
}

// joined counts a session with the feature and informs it soon; closed undoes the count.
func (st *standing) joined(r *room) {
	st.asking.Add(1)
	st.soon(r)
}

func (st *standing) closed() { st.asking.Add(-1) }

// soon makes the user of a room, whose wait begins, get their place soon.
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

// look reads the places of the users of these rooms and sends them what they do not know yet.
// If first is set, it only informs users who do not know their place at all. It returns how
// many rooms have somebody to inform.
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
				st.service.logger.Debug("cannot read the places of users in the queue", "error", err)
			}
			break // the next round informs them
		}
		for i, r := range some {
			r.tellStanding(standsAt(s, i), first)
		}
	}
	return len(rooms)
}

// standsAt returns the standing of the user with the given index.
func standsAt(s lobby.Standing, i int) stands {
	told := stands{known: true, position: int32(s.Positions[i]), waiting: int32(s.Waiting), estimate: -1}
	if s.Interval >= 0 {
		wait := time.Duration(told.position) * s.Interval
		told.estimate = int32(wait.Round(time.Second) / time.Second)
	}
	return told
}

// asksQueue reports whether the session is a user's with the feature.
func (s *Session) asksQueue() bool { return s.role == log.RoleUser && s.features.has(featureQueue) }

func (s *Session) wantsStanding(first bool) bool {
	return s.asksQueue() && !(first && s.stands.known)
}

// asksStanding reports whether the room has somebody to inform.
func (r *room) asksStanding(first bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting && slices.ContainsFunc(r.sessions, func(s *Session) bool { return s.wantsStanding(first) })
}

// tellStanding informs the sessions that do not know this standing yet, unless the wait is
// over.
func (r *room) tellStanding(now stands, first bool) {
	if now.position < 0 {
		return // the user is not in the queue at this moment, but will be
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

// queuePayload encodes by hand, because thousands are made at a time.
func queuePayload(s stands) []byte {
	b := append(make([]byte, 0, 96), `{"type":"Queue","args":{"position":`...)
	b = strconv.AppendInt(b, int64(s.position), 10)
	b = append(b, `,"waiting":`...)
	b = strconv.AppendInt(b, int64(s.waiting), 10)
	b = append(b, `,"estimate":`...)
	if s.estimate < 0 {
		b = append(b, `null`...)
	} else {
		b = strconv.AppendInt(b, int64(s.estimate), 10)
	}
	return append(b, `}}`...)
}
