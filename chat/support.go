package chat

import (
	"context"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// joinSupport takes the chat for a support, unless another support has it; the log decides.
// If agents need tokens, a claim keeps other agents out, and an agent without a claim first
// claims the user. trusted is that of opened.
func (r *room) joinSupport(ctx context.Context, deadline time.Time, s *Session, name string, trusted bool) error {
	if trusted {
		err := r.enter(ctx, deadline, s, &log.Event{SupportID: s.supportID, SupportName: name, Agent: s.subject()}, takesFree)
		if err != errTaken || s.subject() == "" {
			return err
		}
		// It may be the same agent's who has it, on another machine.
		if err := r.visit(ctx, s); err != nil {
			return err
		}
	}
	r.mu.Lock()
	owner, former, userID, closed := r.state.Support, r.state.Released(), r.state.UserID, r.closed()
	r.mu.Unlock()
	agent := s.subject()
	switch {
	case agent != "" && agent == owner.Agent: // on any device
		return r.readmit(s, owner.ID, true)
	case closed:
		return errEnded
	case owner.ID != "" && owner.ID != s.supportID:
		return errTaken
	}
	if agent != "" && former.Lost && former.Support.Agent == agent {
		if err := r.takeBack(ctx, deadline, s, former.Support, comesAnew); err != errTaken {
			return err
		}
	}
	if agent != "" {
		free, err := r.service.queue.Reserve(ctx, r.chatID, userID, agent)
		if err != nil {
			return err
		}
		if !free {
			return errTaken
		}
	}
	return r.enter(ctx, deadline, s, &log.Event{SupportID: s.supportID, SupportName: name, Agent: agent}, takes)
}

// entrance says how a support comes to a chat.
type entrance int

const (
	takes     entrance = iota // takes it
	takesFree                 // takes it because it seems free; the room may be out of date
	comesBack                 // takes it back and knows the supportId
	comesAnew                 // takes it back and must be told the supportId
)

// enter appends that a support takes the chat, and admits them. A support who takes it back
// gets the history even if it is empty.
func (r *room) enter(ctx context.Context, deadline time.Time, s *Session, e *log.Event, how entrance) error {
	e.Kind, e.ID, e.At, e.Server = log.SupportJoined, r.service.eventID(), r.service.now(), r.service.id
	tell, all := how != comesBack, how == comesBack || how == comesAnew
	entered := false
	a := new(appending)
	if how == takesFree {
		r.mu.Lock()
		a.taking = &taking{attends: r.attends(s)}
		r.mu.Unlock()
	}
	a.applied = func(outcome log.Outcome) {
		if outcome != log.Applied || r.gone {
			return
		}
		entered = true
		s.supportID = e.SupportID
		if tell {
			r.queueTo(s, supportJoinedPayload(&r.state))
		}
		if all || len(r.state.Messages) > 0 {
			r.queueTo(s, historyPayload(&r.state, s.features))
		}
		r.admit(s)
	}
	result := r.put(ctx, deadline, e, a)
	switch {
	case result.err != nil:
		return result.err
	case result.late:
		return wire.ErrUnavailable // the client tries again, with the same supportId
	case result.outcome == log.Over:
		return errEnded
	case !entered:
		return errTaken
	}
	r.watch()
	r.flush()
	return nil
}

// rejoinSupport admits the chat's support again, including one who had lost the chat.
func (r *room) rejoinSupport(ctx context.Context, deadline time.Time, s *Session, supportID string) error {
	r.mu.Lock()
	had, former, closed := r.state.Had(supportID), r.state.Released(), r.closed()
	current := wire.SameID(supportID, r.state.Support.ID)
	r.mu.Unlock()
	switch {
	case current, !had:
		return r.readmit(s, supportID, false)
	case !former.Lost || former.Support.ID != supportID:
		return errTaken
	case former.Support.Agent != s.subject():
		return errStranger
	case closed:
		return errEnded
	}
	return r.takeBack(ctx, deadline, s, former.Support, comesBack)
}

// takeBack gives the chat back to the former support who had lost it, unless somebody has
// claimed the user or taken the chat since.
func (r *room) takeBack(ctx context.Context, deadline time.Time, s *Session, former log.Support, how entrance) error {
	r.mu.Lock()
	moves := r.state.Moves
	r.mu.Unlock()
	free, err := r.service.queue.TakeBack(ctx, r.chatID, former.ID)
	switch {
	case err != nil:
		return err
	case !free:
		return errTaken
	}
	return r.enter(ctx, deadline, s, &log.Event{
		SupportID: former.ID, SupportName: former.Name, Agent: former.Agent, Seq: moves,
	}, how)
}

// readmit admits the chat's support again. With tell, it first sends them their supportId.
func (r *room) readmit(s *Session, supportID string, tell bool) error {
	r.mu.Lock()
	defer r.flush()
	defer r.mu.Unlock()
	switch {
	case r.gone:
		return log.ErrGone
	case !wire.SameID(supportID, r.state.Support.ID), s.subject() != r.state.Support.Agent:
		return errStranger
	}
	if err := r.admits(s); err != nil {
		return err
	}
	s.supportID = supportID
	if tell {
		r.queueTo(s, supportJoinedPayload(&r.state))
	}
	r.queueTo(s, historyPayload(&r.state, s.features))
	r.admit(s)
	return nil
}
