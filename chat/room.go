package chat

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"livesupport/broker"
	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// room is a chat on this server: its state as far as the log has been read, and
// the sessions that take part here. It exists while a session needs it.
type room struct {
	service *Service
	chatID  string
	// What holds it, guarded by Service.mu: sessions, and what is still to be done.
	users, errands int

	// entering is held by the Join that opens or renews the room; capacity 1.
	entering chan struct{}

	mu           sync.Mutex
	state        log.State
	last         int64 // position of the last entry applied
	known        int64 // the furthest position heard of
	reading      bool  // a goroutine reads what lies between
	stale        bool  // there was a Gap: what has been read by now does not count
	subscription broker.Subscription
	subscribing  bool // a goroutine tries to get one
	sessions     []*Session
	pending      []*appending // events of this server that are not applied yet
	waiting      bool         // its user is connected here and in the queue
	deadline     time.Time    // when the chat expires, as far as this server knows
	watched      bool         // Service.watch has been called
	gone         bool
	registered   int64 // when the user came, by the store's clock
	answered     bool  // a support has written
	traced       []tracedNews
	news         []news // to be published, in their order
	publishing   bool   // a goroutine publishes them
	marks        marks
	signals      signals
	presence     roomPresence
	active       time.Time // when the last message or Join came, as far as this server knows
	typed        typed
}

// offer takes an entry of the log at its position, from wherever it comes: it
// is applied if it is the next one, and fetched in order if it is not. The
// caller holds mu.
func (r *room) offer(seq int64, e log.Event) {
	switch {
	case r.gone:
	case seq == r.last+1:
		r.apply(seq, e)
	case seq > r.last:
		r.read(seq)
	case !r.isKnown(e):
		// An entry where another one was: the log has lost its end and grown again.
		r.last = 0
		r.read(seq)
	}
}

// isKnown reports whether an event that stands at a position already passed has
// been taken into account. The caller holds mu.
func (r *room) isKnown(e log.Event) bool {
	if slices.ContainsFunc(r.pending, func(a *appending) bool { return a.id == e.ID }) {
		return false
	}
	if e.Kind != log.Messaged {
		return true
	}
	_, found := r.state.Find(e.From, e.MessageID, e.ID)
	return found || len(r.state.Messages) >= log.MaxMessages || r.closed() || e.From == log.RoleSupport && e.SupportID != r.state.Support.ID
}

// apply folds the next entry and tells the sessions. The caller holds mu.
func (r *room) apply(seq int64, e log.Event) {
	own := slices.IndexFunc(r.pending, func(a *appending) bool { return e.ID != "" && a.id == e.ID })
	support, waiting := r.state.Support, r.waiting
	outcome := r.state.Apply(e)
	r.last = seq
	r.known = max(r.known, seq)
	if outcome == log.Applied {
		switch e.Kind {
		case log.Registered:
			r.registered = e.At
		case log.Messaged:
			if e.From == log.RoleSupport && !r.answered {
				r.answered = true
				if own >= 0 { // counted where it was written
					r.service.metrics.answer.Observe(float64(e.At-r.registered) / 1e6)
				}
			}
			r.renewedNow()
			r.deliver(r.state.LastMessage())
			if waiting && own >= 0 && e.From == log.RoleUser {
				r.service.noteWritten(r)
			}
		case log.SupportJoined:
			if support != r.state.Support {
				r.supportJoined()
				if waiting && own < 0 {
					r.service.unqueue(r.chatID, true) // append does it for our own
				}
			}
		case log.Attended:
			if e.Signals && e.Server != r.service.id {
				r.listen()
				r.signal(signal{Here: r.here()})
			}
		case log.Closed:
			r.end()
		case log.Read:
			r.raise(e.From, mark{Read: e.Seq}, nil)
		case log.Noted:
			r.tellNote(r.state.Notes[len(r.state.Notes)-1])
		case log.Rated:
			r.tell(featureRating, nil, func() []byte { return ratedPayload(r.state.Rating) })
		}
	}
	if outcome == log.Over && own >= 0 {
		r.service.endInTime(r) // the append has renewed the chat
	}
	if own >= 0 {
		a := r.pending[own]
		if a.applied != nil {
			a.applied(outcome)
		}
		r.settle(a, appended{outcome: outcome, seq: seq})
	}
}

// deliver queues a message to all sessions. The caller holds mu.
func (r *room) deliver(m log.Message) {
	var frames [ofMessages + 1][]byte // each encoded once, when first needed
	for _, s := range r.sessions {
		if s.role == m.From { // which ends the typing of this role, without a word
			s.typing.says = false
		} else {
			s.typing.told[side(m.From)] = false
		}
		frame := &frames[looks(&m, s.features)]
		if *frame == nil {
			*frame = r.service.messageFrame(r.state.UserID, &m, s.features)
		}
		s.peer.Queue(*frame)
	}
}

// tell queues a payload, made when first needed, to the sessions that have listed f,
// but for one of them. The caller holds mu.
func (r *room) tell(f features, except *Session, payload func() []byte) {
	var frame []byte
	for _, s := range r.sessions {
		if s == except || !s.features.has(f) {
			continue
		}
		if frame == nil {
			frame = r.service.frame(payload())
		}
		s.peer.Queue(frame)
	}
}

// supportJoined tells the sessions who has taken the chat. The caller holds mu.
func (r *room) supportJoined() {
	frame := r.service.frame(supportJoinedPayload(&r.state))
	for _, s := range r.sessions {
		s.peer.Queue(frame)
	}
	r.supportCame()
	if r.waiting {
		r.waiting = false
		r.deadline = r.renewal()
		r.service.stopWaiting(r)
		for _, s := range r.sessions {
			s.stands = stands{} // should it wait again, that is told from the beginning
		}
	}
}

// dequeue takes the chat's user out of the queue, whom a support has taken or not: by
// the deadline, or else as soon as the store can be reached.
func (r *room) dequeue(deadline time.Time, taken bool) {
	ctx, cancel := context.WithDeadline(r.service.ctx, deadline)
	defer cancel()
	remove := r.service.queue.Remove
	if taken {
		remove = r.service.queue.Taken
	}
	if err := remove(ctx, r.chatID); err != nil {
		r.service.unqueue(r.chatID, taken)
	}
}

// flush sends what is queued to the sessions, and returns how many there are.
func (r *room) flush() int {
	var buf [4]*Session
	r.mu.Lock()
	sessions := append(buf[:0], r.sessions...)
	delivered := r.tracedUntilNow()
	r.mu.Unlock()
	for _, s := range sessions {
		s.peer.Flush()
	}
	for _, n := range delivered {
		r.service.delivered(n, len(sessions))
	}
	return len(sessions)
}

// read sees to it that the log is read up to seq, where somebody has seen an
// entry. The caller holds mu.
func (r *room) read(seq int64) {
	r.known = max(r.known, seq)
	r.startReading()
}

// startReading reads the log once more, at least. The caller holds mu.
func (r *room) startReading() {
	if !r.reading && !r.gone {
		r.reading = true
		r.service.metrics.rereads.Inc()
		if !r.service.start(r.readMissing) {
			r.reading = false
		}
	}
}

// readMissing reads the log from the store until nothing is missing.
func (r *room) readMissing(ctx context.Context) {
	pause := 50 * time.Millisecond
	for {
		r.mu.Lock()
		after, known := r.last, r.known
		r.stale = false
		r.mu.Unlock()
		entries, err := r.fetch(ctx, after)
		if errors.Is(err, log.ErrGone) {
			r.expire()
			return
		}
		r.mu.Lock()
		if err == nil {
			r.take(after, entries)
			if r.known == known {
				r.known = r.last // what was heard of and is not there was lost with the log's end
			}
		}
		if r.gone || ctx.Err() != nil || err == nil && r.known <= r.last && !r.stale {
			r.reading = false
			r.mu.Unlock()
			r.flush()
			return
		}
		r.mu.Unlock()
		r.flush()
		if err == nil {
			continue
		}
		r.service.logger.Warn("reading a chat's log", "chat", wire.ShortID(r.chatID), "error", err)
		sleep(ctx, pause)
		pause = min(2*pause, time.Second)
	}
}

func (r *room) fetch(ctx context.Context, after int64) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	entries, err := r.service.logs.Read(ctx, r.chatID, after)
	if errors.Is(err, log.ErrDiverged) {
		r.mu.Lock()
		r.last = 0
		r.mu.Unlock()
		return nil, err
	}
	return entries, err
}

// take applies entries that stand behind position after. The caller holds mu.
func (r *room) take(after int64, entries []string) {
	if after == 0 && r.state.ChatID != "" && r.last == 0 {
		r.rebuild(entries)
		return
	}
	for i, entry := range entries {
		if seq := after + int64(i) + 1; seq == r.last+1 {
			r.apply(seq, log.Decode([]byte(entry)))
		}
	}
}

// rebuild starts anew from a log whose end was lost: sessions get what they have
// not seen. The caller holds mu.
func (r *room) rebuild(entries []string) {
	r.service.logger.Error("the store has lost the end of a chat's log", "chat", wire.ShortID(r.chatID))
	seen := r.state
	r.state = log.State{}
	sessions := r.sessions
	for i, entry := range entries {
		e := log.Decode([]byte(entry))
		if told(&seen, &e) {
			r.sessions = nil
			r.apply(int64(i)+1, e)
			r.sessions = sessions
		} else {
			r.apply(int64(i)+1, e)
			sessions = r.sessions // some may have had to leave
		}
	}
}

// told reports whether those who have seen a chat in this state know of an event.
func told(seen *log.State, e *log.Event) bool {
	switch e.Kind {
	case log.Messaged:
		_, old := seen.Find(e.From, e.MessageID, e.ID)
		return old
	case log.SupportJoined:
		return e.SupportID == seen.Support.ID
	case log.Closed:
		return seen.Closed.From != ""
	case log.Noted:
		return seen.HasNote(e.ID)
	case log.Rated:
		return e.Score == seen.Rating.Score && e.Content == seen.Rating.Comment
	}
	return false
}

// expire ends the chat on this server: it is gone from the store.
func (r *room) expire() {
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		return
	}
	r.gone = true
	sessions := slices.Clone(r.sessions)
	for len(r.pending) > 0 {
		r.settle(r.pending[0], appended{err: log.ErrGone})
	}
	waiting := r.waiting
	r.waiting = false
	r.mu.Unlock()
	if waiting {
		r.service.stopWaiting(r)
		r.service.unqueue(r.chatID, false)
	}
	for _, s := range sessions {
		s.expired()
	}
	r.service.forget(r)
}

// roomHandler is the room as the broker sees it.
type roomHandler room

// Message takes news of the chat from another server, or from this one.
func (h *roomHandler) Message(payload []byte) {
	r := (*room)(h)
	seq, entry, err := decodeNews(payload)
	if err != nil {
		return // not ours
	}
	var e log.Event
	if entry != nil {
		e = log.Decode(entry)
	}
	r.mu.Lock()
	fresh := seq > r.last
	if fresh && entry != nil {
		r.service.metrics.receipt.Observe(r.service.since(e))
		r.traceNews(seq, entry)
	}
	switch {
	case entry != nil:
		r.offer(seq, e)
	case fresh:
		r.read(seq)
	}
	delivered := fresh && e.Kind == log.Messaged && seq <= r.last
	r.mu.Unlock()
	r.flush()
	if delivered {
		r.service.metrics.remote.Observe(r.service.since(e))
	}
}

// Gap reads what may have been missed.
func (h *roomHandler) Gap() {
	r := (*room)(h)
	r.mu.Lock()
	r.stale = true // a read that is under way may have missed it, too
	r.startReading()
	r.mu.Unlock()
}
