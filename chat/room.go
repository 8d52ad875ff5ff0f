package chat

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"livesupport/broker"
	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// room is a chat on this server: its state as far as the log was read, and its sessions here.
// It exists while a session needs it.
type room struct {
	service *Service
	chatID  string
	// What keeps the room open, guarded by Service.mu: sessions and pending work.
	users, errands int

	// entering is held by the Join that opens or renews the room; capacity 1.
	entering chan struct{}

	mu           sync.Mutex
	state        log.State
	last         int64 // position of the last entry applied
	known        int64 // the highest position seen in news
	reading      bool  // a goroutine reads the entries in between
	stale        bool  // there was a Gap: the current read may be incomplete
	subscription broker.Subscription
	subscribing  bool // a goroutine is trying to subscribe
	sessions     []*Session
	pending      []*appending // events of this server that were not applied yet
	uploading    int          // files being uploaded to the chat here
	waiting      bool         // its user is connected here and in the queue
	saidWaiting  bool         // the log says that the user is about to enter the queue
	deadline     moment       // when the chat expires, as far as this server knows
	watched      bool         // Service.watch has been called
	gone         bool
	registered   int64 // time of the registration, by the store's clock
	answered     bool  // a support has sent a message
	traced       []tracedNews
	news         []news // to be published, in this order
	publishing   bool   // a goroutine is publishing them
	marks        marks
	signals      signals
	presence     roomPresence
	active       moment // time of the last message or Join, as far as this server knows
	typed        typed
	absence      supportAbsence
	held         bool // is in Service.held
	// Since the log has lost its end: what was lost, how many messages sessions may have been shown,
	// who had the chat then, and whether a goroutine logs again what was lost of this server's entries.
	losses     []loss
	shown      int64
	hadSupport log.Support
	restoring  bool
}

// offer takes an entry of the log with its position, from any source. It applies the next
// entry, and reads the missing ones in order if the entry is further ahead. The caller holds
// mu.
func (r *room) offer(seq int64, e log.Event) {
	switch {
	case r.gone:
	case seq == r.last+1:
		r.apply(seq, e)
	case seq > r.last:
		r.read(seq)
	case !r.isKnown(e):
		// Another entry at a known position: the log has lost its end and grown again.
		r.last, r.stale = 0, true
		r.read(seq)
	}
}

// isKnown reports whether an event at an earlier position was applied. The caller holds mu.
func (r *room) isKnown(e log.Event) bool {
	if slices.ContainsFunc(r.pending, func(a *appending) bool { return a.id == e.ID }) {
		return false
	}
	if e.Kind != log.Messaged {
		return true
	}
	_, found := r.state.Find(e.From, e.MessageID, e.ID)
	return found || len(r.state.Messages) >= log.MaxMessages || r.closed() || e.From == log.RoleSupport && e.SupportID != r.state.Support.ID || !r.state.HasFiles(e.Files)
}

// apply folds the next entry and informs the sessions. The caller holds mu.
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
				if own >= 0 { // the server that wrote it counts it
					r.service.metrics.answer.Observe(float64(e.At-r.registered) / 1e6)
				}
			}
			r.renewedNow()
			r.deliver(r.state.LastMessage(), r.shownBefore(&e))
			if waiting && own >= 0 && e.From == log.RoleUser {
				r.service.noteWritten(r)
			}
		case log.SupportJoined:
			if support != r.state.Support {
				r.supportJoined()
				if waiting && own < 0 {
					r.service.unqueue(r.chatID, r.heldNow()) // append does this for our own events
				}
			}
		case log.Released:
			r.released(own >= 0)
		case log.Connected, log.Disconnected:
			r.supportMoved(r.service.local(e.At))
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
	if e.Kind == log.SupportJoined {
		r.supportMoved(now()) // now that a session that has joined is in the list
	}
}

// deliver queues a message to all sessions but those that have been shown it. The caller
// holds mu.
func (r *room) deliver(m log.Message, shown []*Session) {
	var frames [ofMessages + 1][]byte // each encoded once, on first use
	for _, s := range r.sessions {
		if s.role == m.From { // a message implies the end of this role's typing
			s.typing.says = false
		} else {
			s.typing.told[side(m.From)] = false
		}
		if slices.Contains(shown, s) {
			continue
		}
		frame := &frames[looks(&r.state, &m, s.features)]
		if *frame == nil {
			*frame = r.service.messageFrame(&r.state, &m, s.features)
		}
		s.peer.Queue(*frame)
	}
}

// tell queues a payload, made on first use, to the sessions that have listed f, except for
// one of them. The caller holds mu.
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

// supportJoined informs the sessions who has taken the chat. The caller holds mu.
func (r *room) supportJoined() {
	var frame []byte
	for _, s := range r.sessions {
		if s.knows == r.state.Support.ID { // a lost support is back, and this session does not know that it was lost
			continue
		}
		if frame == nil {
			frame = r.service.frame(supportJoinedPayload(&r.state))
		}
		s.knows = r.state.Support.ID
		s.peer.Queue(frame)
	}
	r.supportCame()
	r.hold()
	if r.waiting {
		r.waiting = false
		r.deadline = r.renewal()
		r.service.stopWaiting(r)
		for _, s := range r.sessions {
			s.stands = stands{} // a later wait is reported from the beginning
		}
	}
}

// flush sends the queued frames to the sessions, and returns how many sessions there are.
func (r *room) flush() int {
	r.mu.Lock()
	return r.flushUnlocking()
}

// flushUnlocking is flush for callers that hold mu and have nothing more to do with it.
func (r *room) flushUnlocking() int {
	var buf [4]*Session
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

// read makes the room read the log up to seq, where another server has seen an entry. The
// caller holds mu.
func (r *room) read(seq int64) {
	r.known = max(r.known, seq)
	r.startReading()
}

// startReading makes the room read the log at least once more. The caller holds mu.
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
				r.known = r.last // entries in news that are not in the log were lost with its end
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
		r.service.logger.Warn("cannot read a chat's log", "chat", wire.ShortID(r.chatID), "error", err)
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
		r.last, r.stale = 0, true
		r.startReading()
		r.mu.Unlock()
		return nil, err
	}
	return entries, err
}

// take applies the entries that follow position after. The caller holds mu.
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

// expire ends the chat on this server, because it is gone from the store.
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
	waiting, held := r.waiting, r.held
	r.waiting = false
	r.mu.Unlock()
	if waiting {
		r.service.stopWaiting(r)
		r.service.unqueue(r.chatID, nil)
	}
	if held && r.service.watched.Load() {
		r.service.unhold(r.chatID)
	}
	for _, s := range sessions {
		s.expired()
	}
	r.service.forget(r)
}

// roomHandler is the room as a broker.Handler.
type roomHandler room

// Message takes news of the chat from another server or from this one.
func (h *roomHandler) Message(payload []byte) {
	r := (*room)(h)
	seq, entry, err := decodeNews(payload)
	if err != nil {
		return // not from us
	}
	r.mu.Lock()
	if entry != nil && seq <= r.last && isEvent(entry) { // usually this server's own
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	var e log.Event
	if entry != nil {
		e = log.Decode(entry)
	}
	r.mu.Lock()
	own := e.ID != "" && slices.ContainsFunc(r.pending, func(a *appending) bool { return a.id == e.ID })
	fresh := seq > r.last && !own
	if fresh && entry != nil {
		r.service.metrics.receipt.Observe(r.service.since(e))
		r.traceNews(seq, entry)
	}
	switch {
	case own:
		r.known = max(r.known, seq) // the store's answer comes, too
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

// isEvent reports whether an entry of news is, as servers write it, of another kind than a message:
// as isKnown has it, such an event at a known position says nothing new.
func isEvent(entry []byte) bool {
	kind, found := bytes.CutPrefix(entry, []byte(`{"kind":"`))
	return found && !bytes.HasPrefix(kind, []byte(log.Messaged))
}

// Gap reads the entries that may have been missed.
func (h *roomHandler) Gap() {
	r := (*room)(h)
	r.mu.Lock()
	r.stale = true // a read in progress may have missed them, too
	r.startReading()
	r.mu.Unlock()
}
