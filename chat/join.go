package chat

import (
	"context"
	"errors"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/otel/trace"
)

func (s *Session) receiveJoin(args jsontext.Value, readable time.Time) {
	err := s.join(args, readable)
	var public *wire.Error
	switch {
	case err == nil:
		s.joined.Store(true)
		s.service.metrics.joining.Dec()
		s.service.metrics.of(s.role).Inc()
	case errors.Is(err, log.ErrGone), errors.Is(err, errEnded):
		s.expired()
	case errors.As(err, &public):
		s.refuse(public, "")
		switch public.Code {
		case wire.Forbidden, wire.AlreadyTaken, wire.ChatFull, wire.Unauthorized:
			s.peer.Close(wire.ClosePolicy, string(public.Code))
		}
	default:
		s.service.logger.Warn("cannot handle a Join", "chat", wire.ShortID(s.chatID), "error", err)
		s.refuse(wire.ErrUnavailable, "")
	}
}

// join checks the args and enters the room.
func (s *Session) join(raw jsontext.Value, readable time.Time) error {
	args, err := s.checkJoin(raw)
	if err != nil {
		return err
	}
	s.role = args.From
	s.features = parseFeatures(args.Features, s.role)

	// A Join takes up to five round trips to the store; a first Join usually takes two or three.
	deadline := readable.Add(storeTimeout)
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(lastTry))
	defer cancel()
	r := s.service.hold(s.chatID)
	if r == nil {
		return errCrowded
	}
	ctx, span := s.service.tracer.Begin(ctx, spanReceive, trace.SpanKindServer)
	s.show(span, kindJoin)
	first := args.first()
	done, err := r.open(ctx, args.UserID, s, first && s.role == log.RoleSupport)
	if err == nil {
		switch {
		case s.role == log.RoleUser:
			err = r.joinUser(ctx, s, args.SupportID, done.queued)
		case s.role == log.RoleObserver:
			s.name = args.SupportUserName
			err = r.joinObserver(s)
		case first:
			if s.supportID == "" {
				s.supportID = wire.NewID()
			}
			err = r.joinSupport(ctx, deadline, s, args.SupportUserName, done.trusted)
		default:
			err = r.rejoinSupport(ctx, deadline, s, args.SupportID)
		}
	}
	endSpan(span, err)
	if err != nil {
		s.features = 0
		s.service.release(r)
		return err
	}
	s.room = r
	if args.Heartbeat != 0 {
		s.peer.Heartbeat(time.Duration(args.Heartbeat))
	}
	return nil
}

// checkJoin decodes and checks the args of a Join. Where agents need tokens, the name is the
// token's.
func (s *Session) checkJoin(raw jsontext.Value) (joinArgs, error) {
	var args joinArgs
	if err := wire.DecodeArgs(raw, &args); err != nil {
		return args, err
	}
	name, nameOK := wire.Name(args.SupportUserName)
	agent := args.From == log.RoleSupport || args.From == log.RoleObserver
	if agent && s.service.cfg.AgentsNeedToken && s.room == nil {
		if s.agent == nil {
			return args, errNoToken
		}
		if args.From == log.RoleObserver && !s.agent.Supervisor {
			return args, errNoSupervisor
		}
		if args.SupportUserName != "" && name != s.agent.Name {
			return args, wire.NewError(wire.Forbidden, `The field "supportUserName" is not the name in your token. You can leave it out.`)
		}
		args.SupportUserName, name, nameOK = s.agent.Name, s.agent.Name, true
	}
	switch {
	case s.room != nil:
		return args, wire.NewError(wire.BadRequest, "This socket has already joined.")
	case args.From == "":
		return args, wire.Missing("from")
	case !args.From.Valid() && args.From != log.RoleObserver:
		return args, wire.NewError(wire.BadRequest, `The field "from" must be "User", "Support" or "Observer".`)
	case args.UserID == "":
		return args, wire.Missing("userId")
	case agent && args.first() && args.SupportUserName == "":
		return args, wire.Missing("supportUserName")
	case agent && args.first() && !nameOK:
		return args, wire.NewError(wire.BadRequest, `The field "supportUserName" must have `+wire.NameWanted+".")
	}
	args.SupportUserName = name
	return args, nil
}

// joinUser lets a user in: into the queue while nobody has taken the chat, unless open
// has done that.
func (r *room) joinUser(ctx context.Context, s *Session, supportID string, queued bool) error {
	r.mu.Lock()
	var put func(context.Context) error
	if !queued && r.free() {
		put = r.enqueue(true)
	}
	r.mu.Unlock()
	if put != nil {
		if err := r.announceJoined(ctx); err != nil {
			return err
		}
		if err := put(ctx); err != nil {
			return err
		}
		r.announced(false)
		queued = true
	}
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		if queued {
			r.service.unqueue(r.chatID, nil)
		}
		return log.ErrGone
	}
	if err := r.admits(s); err != nil {
		r.mu.Unlock()
		if queued {
			r.service.unqueue(r.chatID, nil)
		}
		return err
	}
	taken := r.state.Support.ID != ""
	if !taken || supportID == "" {
		r.queueTo(s, userJoinedPayload(&r.state))
	}
	if taken && supportID != r.state.Support.ID {
		r.queueTo(s, supportJoinedPayload(&r.state))
	}
	if taken || len(r.state.Messages) > 0 {
		r.queueTo(s, historyPayload(&r.state, s.features))
	}
	r.admit(s)
	if r.waits() && !r.waiting {
		r.wait()
	}
	if s.asksQueue() {
		r.service.standing.joined(r)
	}
	over, held := taken || r.closed(), r.heldNow()
	r.mu.Unlock()
	if queued && over {
		// A support has joined, or the user has left, while they were put into the queue.
		r.service.unqueue(r.chatID, held)
	}
	r.flush() // the others may have been told of it, too
	return nil
}

// joinObserver lets somebody look on.
func (r *room) joinObserver(s *Session) error {
	r.mu.Lock()
	defer r.flush()
	defer r.mu.Unlock()
	if r.gone {
		return log.ErrGone
	}
	if err := r.admits(s); err != nil {
		return err
	}
	if r.state.Support.ID != "" {
		r.queueTo(s, supportJoinedPayload(&r.state))
	}
	r.queueTo(s, historyPayload(&r.state, s.features))
	r.admit(s)
	return nil
}

// admits returns errEnded if a session cannot take part in a closed chat. The caller
// holds mu.
func (r *room) admits(s *Session) error {
	if r.closed() && !s.features.has(featureClose) {
		return errEnded
	}
	return nil
}

// admit lets a session take part, behind the answers to its Join, and tells it what
// its features open. The caller holds mu.
func (r *room) admit(s *Session) {
	if s.features.has(featureNotes) {
		r.showNotes(s)
	}
	if s.features.has(featureReceipts) {
		r.showMarks(s)
	}
	if s.features.has(featureRating) && r.state.Rating.Score > 0 {
		r.queueTo(s, ratedPayload(r.state.Rating))
	}
	r.sessions = append(r.sessions, s)
	s.knows = r.state.Support.ID
	r.supportMoved(now())
	if s.seesPresence() {
		for _, role := range sides {
			r.presenceChanged(role)
			r.showPresence(role)
		}
	} else if s.role.Valid() {
		r.presenceChanged(s.role)
	}
	if r.closed() {
		r.queueTo(s, chatClosedPayload(&r.state))
	}
	r.announce()
}

// queueTo queues a payload to one session; with r.mu held it takes its place
// among what all sessions get.
func (r *room) queueTo(s *Session, payload []byte) { s.peer.Queue(r.service.frame(payload)) }
