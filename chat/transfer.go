package chat

import (
	"context"
	"time"
	"unicode/utf8"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// Targets of a Transfer.
const (
	toQueue = "queue"
	toAgent = "agent"
	toTeam  = "team"
)

// maxTeam is the maximum number of characters in the name of a team.
const maxTeam = 64

var (
	errTransferUser = wire.NewError(wire.Forbidden, "Only agents can transfer a chat.")
	errTo           = wire.NewError(wire.BadRequest, `The field "to" must be "queue", "agent" or "team".`)
	errToOneself    = wire.NewError(wire.BadRequest, "You cannot transfer a chat to yourself.")
	errTeamLong     = wire.NewError(wire.BadRequest, `The field "team" must have 1 to 64 characters.`)
	errNoTeam       = wire.NewError(wire.NotFound, "There is no such team.")
	errNoAgent      = wire.NewError(wire.NotFound, "This agent is not available, or cannot be offered chats.")
	errNoSupport    = wire.NewError(wire.BadRequest, "This chat has no agent at the moment.")
)

// transfer handles a Transfer (web/api/README.md, "transfer").
func (r *room) transfer(ctx context.Context, deadline time.Time, s *Session, args *transferArgs) error {
	if s.role == log.RoleUser {
		return errTransferUser
	}
	e, err := s.release(args)
	if err != nil {
		return err
	}
	if !s.allowed() {
		return errTooFast
	}
	if _, err := r.learns(ctx, func() bool { return r.state.Support.ID != "" }); err != nil {
		return err
	}
	r.mu.Lock()
	e.SupportID, e.SupportName = r.state.Support.ID, s.name
	if s.role == log.RoleSupport {
		e.SupportName = r.state.Support.Name
	}
	owns, closed, known := r.owns(s), r.closed(), r.state.Knows(log.Released)
	full := e.Content != "" && len(r.state.Notes) >= log.MaxNotes
	r.mu.Unlock()
	switch {
	case !owns:
		return errNotYours
	case closed:
		return errClosed
	case e.SupportID == "":
		return errNoSupport
	case full:
		return errNotesFull
	case !known:
		return wire.ErrUnavailable // as long as there are servers with an older fold
	}
	if e.Agent != "" {
		if err := r.canBeGivenTo(ctx, s, e.Agent); err != nil {
			return err
		}
	}
	result := r.append(ctx, deadline, e, nil)
	if result.outcome == log.Full {
		return errNotesFull
	}
	return result.refusal()
}

// canBeGivenTo returns nil if an agent can be offered the chat and does not have it already.
// Without tokens, only the queue knows which agent has it.
func (r *room) canBeGivenTo(ctx context.Context, s *Session, agent string) error {
	queue := r.service.queue
	if s.role == log.RoleSupport && s.agent == nil {
		has, err := queue.Has(ctx, agent, r.chatID)
		if err != nil {
			return err
		}
		if has {
			return errToOneself
		}
	}
	there, err := queue.Reachable(ctx, agent)
	if err != nil {
		return err
	}
	if !there {
		return errNoAgent
	}
	return nil
}

// release makes the event of a Transfer, or returns an error if the args are wrong.
func (s *Session) release(args *transferArgs) (*log.Event, error) {
	e := &log.Event{Kind: log.Released, ID: s.service.eventID(), At: s.service.now(), From: s.role}
	switch args.To {
	case toQueue:
		if s.role == log.RoleObserver {
			e.UserID = s.subject()
		}
	case toAgent:
		switch args.Agent {
		case "":
			return nil, wire.Missing("agent")
		case s.subject():
			return nil, errToOneself
		}
		e.Agent = args.Agent
	case toTeam:
		switch {
		case args.Team == "":
			return nil, wire.Missing("team")
		case utf8.RuneCountInString(args.Team) > maxTeam:
			return nil, errTeamLong
		case s.service.cfg.Team != nil && !s.service.cfg.Team(args.Team):
			return nil, errNoTeam
		}
		e.Team = args.Team
	case "":
		return nil, wire.Missing("to")
	default:
		return nil, errTo
	}
	if args.Note != nil {
		switch n := utf8.RuneCountInString(*args.Note); {
		case n == 0:
			return nil, wire.Missing("note")
		case n > maxContent:
			return nil, errNoteLong
		}
		e.Content = *args.Note
	}
	return e, nil
}

// released closes the support's sessions after a release, and lets the user wait again. own
// says that this server has appended the release and therefore puts the user into the queue.
// The caller holds mu.
func (r *room) released(own bool) {
	from := r.state.Released()
	if from.Note != "" {
		r.tellNote(r.state.Notes[len(r.state.Notes)-1])
	}
	r.tellTyping(log.RoleSupport, false, nil)
	r.tell(featureTransfer, nil, func() []byte { return supportLeftPayload(from) })
	left := r.sessions[:0]
	for _, s := range r.sessions {
		if s.role == log.RoleSupport {
			s.typing.says = false
			s.peer.Close(wire.CloseNormal, "the chat was released")
			continue
		}
		if s.features.has(featureTransfer) {
			s.knows, s.toldPresence[side(log.RoleSupport)] = "", unknown
		}
		left = append(left, s)
	}
	clear(r.sessions[len(left):])
	r.sessions = left
	r.presenceChanged(log.RoleSupport)
	r.announce()
	r.supportMoved(now())
	r.letGo()
	r.service.stopTaking(r.chatID)
	if r.waits() {
		r.wait()
		if !own { // append does this for our own events
			r.service.queueSoon(r)
		}
	}
}
