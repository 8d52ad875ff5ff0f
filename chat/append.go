package chat

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"livesupport/broker/redisdb"
	"livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/wire"
)

// appending is an event on its way into the log, and who waits for it.
type appending struct {
	id string
	// applied is called under room.mu when the fold has taken the event.
	applied func(log.Outcome)
	late    time.Time // when whoever waits is answered though it is not applied yet
	done    chan appended
	taking  *taking // nil unless a support takes a chat that seems to be free
}

// taking is what goes with the event that a support takes a chat: the queue follows in the
// same step, if the chat is free.
type taking struct {
	attends *log.Event // stands before the event, if not nil
	queued  bool       // the queue has followed
	told    bool       // the other servers have been told
}

// appended is what has become of an event.
type appended struct {
	outcome log.Outcome
	seq     int64 // 0 unless it has been applied
	late    bool  // it is in the log, and will be applied when what lies before it can be read
	err     error
}

// refusal is what whoever has sent the event is told; nil if it has been taken, or
// changes nothing. After ErrUnavailable it may still be taken.
func (a appended) refusal() error {
	switch {
	case a.err != nil:
		return a.err
	case a.late, a.outcome == log.Unknown:
		return wire.ErrUnavailable
	case a.outcome == log.Refused:
		return errNotYours
	case a.outcome == log.Missing:
		return errNoFile
	case a.outcome == log.Full:
		return errFull
	case a.outcome == log.Over:
		return errClosed
	}
	return nil
}

// append puts an event into the log and waits until the fold has taken it, until
// lastTry after the deadline. applied, if not nil, is called in the same locked
// step. Then it tells the sessions and the other servers. ctx bounds nothing: it
// says below which span this happens.
func (r *room) append(ctx context.Context, deadline time.Time, e *log.Event, applied func(log.Outcome)) appended {
	return r.put(ctx, deadline, e, &appending{applied: applied})
}

// put is append, with what else goes with the event in a. If that is a support who takes the
// chat, ctx bounds it, too.
func (r *room) put(ctx context.Context, deadline time.Time, e *log.Event, a *appending) appended {
	began := time.Now()
	switch {
	case r.service.away(r.chatID):
		return appended{err: errOutage}
	case began.After(deadline): // it has waited behind others of its socket, whose fault it is
		return appended{err: wire.ErrUnavailable}
	}
	entry := e.Encode()
	a.id, a.late, a.done = e.ID, deadline.Add(lastTry), make(chan appended, 1)
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		return appended{err: log.ErrGone}
	}
	r.pending = append(r.pending, a)
	registration := r.state.Registration(e.Kind)
	r.mu.Unlock()
	_, span := r.service.tracer.Begin(ctx, spanAppend, trace.SpanKindClient)
	showEvent(span, e, entry)
	if a.taking != nil {
		r.putTaking(ctx, a, e, entry)
	} else {
		r.service.logs.Append(deadline, r.chatID, e.Kind, entry, registration, func(seq int64, err error) {
			r.appended(a, e, seq, err)
		})
	}
	result := <-a.done
	endSpan(span, result.err)
	queued, told := a.taking != nil && a.taking.queued, a.taking != nil && a.taking.told
	if result.outcome == log.Applied && !queued {
		r.requeue(a.late, e) // whoever is told of it now finds it so in every lobby
	}
	if result.outcome == log.Applied { // else span is the one that has ended
		_, span = r.service.tracer.Begin(ctx, spanDeliver, trace.SpanKindInternal)
	}
	showSessions(span, r.flush())
	span.End()
	if e.Kind == log.Messaged && result.outcome == log.Applied {
		r.service.metrics.local.Observe(time.Since(began).Seconds())
	}
	if errors.Is(result.err, log.ErrGone) {
		r.expire()
	}
	if errors.Is(result.err, redisdb.ErrUnavailable) || result.late {
		r.service.metrics.unstored.Inc()
		// Otherwise the time was its own socket's, or replicas are missing, which answers soon.
		if deadline.Sub(began) > storeTimeout/2 && !errors.Is(result.err, redisdb.ErrUnconfirmed) {
			r.service.storeFailed(r.chatID)
		}
	}
	if result.err == nil && !told {
		r.publish(ctx, e.Kind, result, entry)
	}
	if r.service.cfg.Appended != nil && tells(e.Kind) {
		r.service.cfg.Appended(r.chatID)
	}
	return result
}

// tells reports whether those who follow living chats want to know of it at once.
func tells(k log.Kind) bool {
	switch k {
	case log.Announced, log.Messaged, log.SupportJoined, log.Released, log.Closed, log.Rated:
		return true
	}
	return false
}

// putTaking puts the event that a support takes the chat, and the queue follows in the
// same step if the room is up to date. ctx, that of the Join, bounds it.
func (r *room) putTaking(ctx context.Context, a *appending, e *log.Event, entry []byte) {
	s := r.service
	events := []*log.Event{e}
	if a.taking.attends != nil {
		events = []*log.Event{a.taking.attends, e}
	}
	r.mu.Lock()
	after := r.last
	if !r.free() || r.state.Had(e.SupportID) {
		after = -1 // then the fold decides, and the queue follows that
	}
	held := r.heldBy(log.Support{ID: e.SupportID, Name: e.SupportName, Agent: e.Agent, Since: e.At})
	r.mu.Unlock()
	var news *lobby.News
	if s.tracer.Tracer == nil && !s.logs.Confirmed() { // else it is published in a span, or when replicas have it
		news = &lobby.News{Topic: topic(r.chatID), Payload: encodeNews(after+int64(len(events)), entry, "")}
	}
	took, err := s.queue.Take(ctx, *held, r.entries(ctx, after, events...), news)
	if took.Lost {
		err = errTaken
	}
	a.taking.queued, a.taking.told = took.Taken, took.Told
	r.appended(a, e, took.Length, err)
}

// appended takes the store's answer. It is called in the order of the log's
// positions, except for appends that overtook each other on the way to a store far
// away, and must not block.
func (r *room) appended(a *appending, e *log.Event, seq int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && seq == 0 {
		err = log.ErrGone
	}
	if err != nil {
		r.settle(a, appended{err: err})
		if r.known > r.last && !errors.Is(err, log.ErrGone) { // news has said that it is in the log
			r.startReading()
		}
		return
	}
	if a.taking != nil && a.taking.attends != nil {
		r.offer(seq-1, *a.taking.attends)
	}
	r.offer(seq, *e)
	if !e.Kind.Soft() {
		r.renewedNow()
	}
	if slices.Contains(r.pending, a) { // something before it must be read first
		time.AfterFunc(time.Until(a.late), func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.settle(a, appended{late: true})
		})
	}
}

// settle answers whoever waits for an event, once. The caller holds mu.
func (r *room) settle(a *appending, result appended) {
	if i := slices.Index(r.pending, a); i >= 0 {
		r.pending = slices.Delete(r.pending, i, i+1)
		a.done <- result
	}
}

// write appends a session's message, below the span of ctx and by the deadline of
// append. nil means that the session has its receipt. After ErrUnavailable it may
// still come.
func (r *room) write(ctx context.Context, deadline time.Time, s *Session, content, messageID string, files *log.Files) error {
	r.mu.Lock()
	first, repeated := r.state.Find(s.role, messageID, "")
	full := len(r.state.Messages) >= r.service.cfg.MaxMessages
	closed := r.closed()
	stale := s.role == log.RoleSupport && r.state.Had(s.supportID)
	if repeated && !stale {
		s.peer.Queue(r.service.messageFrame(&r.state, &first, s.features))
	}
	r.mu.Unlock()
	switch {
	case stale:
		return errNotYours
	case repeated:
		s.peer.Flush()
		return nil
	case closed:
		return errClosed
	case full:
		return errFull
	}
	has, err := r.learns(ctx, func() bool { return r.state.HasFiles(files) })
	switch {
	case err != nil:
		return err
	case !has:
		return errNoFile
	}
	e := &log.Event{
		Kind: log.Messaged, ID: r.service.eventID(), At: r.service.now(),
		From: s.role, SupportID: s.supportID, Content: content, MessageID: messageID, Files: files,
	}
	result := r.append(ctx, deadline, e, func(outcome log.Outcome) {
		if outcome == log.Repeated {
			first, _ := r.state.Find(e.From, e.MessageID, e.ID)
			s.peer.Queue(r.service.messageFrame(&r.state, &first, s.features))
		}
	})
	if err := result.refusal(); err != nil {
		return err
	}
	if result.outcome == log.Applied {
		r.service.metrics.messages.Inc()
	}
	s.peer.Flush()
	return nil
}
