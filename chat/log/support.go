package log

import "slices"

// Support is the agent in a chat.
type Support struct {
	ID, Name string
	Agent    string // the subject of their token, "" without tokens
	Since    int64  // when they took the chat
}

// Release says how a chat lost its support. The zero Release is that of a chat that has a support
// or never had one.
type Release struct {
	Support Support // who had the chat
	Lost    bool    // the support was gone; otherwise somebody has transferred the chat
	By      string  // the name of the agent who has transferred it
	Agent   string  // the agent to offer the chat to first, "" for none
	Taker   string  // the subject of an observer who has transferred it to the queue, and may take it
	Note    string
	At      int64
}

// join gives the chat to a support, if no support has it. A former support does not get it again,
// because a repeated append may come late, unless they lost it and nothing has happened since.
func (s *State) join(e Event) Outcome {
	switch {
	case s.owns(e.SupportID):
		return Applied
	case s.Support.ID != "", s.Had(e.SupportID) && !s.lostBy(e):
		return Refused
	case s.Closed.From != "":
		return Over
	}
	s.advance(e.At)
	s.Support, s.Supported = Support{e.SupportID, e.SupportName, e.Agent, s.at}, true
	s.released = nil
	s.former = slices.DeleteFunc(s.former, func(id string) bool { return id == e.SupportID })
	s.SupportAt = nil
	if e.Server != "" {
		s.SupportAt = []string{e.Server}
	}
	s.Moves++
	return Applied
}

// Released returns how the chat lost its support, the zero Release while it has one.
func (s *State) Released() Release {
	if s.released == nil {
		return Release{}
	}
	return *s.released
}

// Had reports whether a supportId was formerly that of the chat's support.
func (s *State) Had(supportID string) bool { return slices.Contains(s.former, supportID) }

// lostBy reports whether e takes back a chat that its support has lost.
func (s *State) lostBy(e Event) bool {
	return s.released != nil && s.released.Lost && s.released.Support.ID == e.SupportID && e.Seq == s.Moves
}

// owns reports whether a supportId is that of the chat's support.
func (s *State) owns(supportID string) bool { return supportID != "" && supportID == s.Support.ID }

// release takes the chat from its support. A loss is only valid if no socket of the support has
// come or gone since the server that reports it has checked.
func (s *State) release(e Event) Outcome {
	switch {
	case e.From == RoleUser:
		return Ignored
	case !s.owns(e.SupportID), e.Lost && e.Seq != s.Moves:
		return Refused
	case s.Closed.From != "":
		return Over
	case e.Content != "" && len(s.Notes) >= MaxNotes:
		return Full
	}
	if first := s.Registration(Released); first != nil {
		s.registered.fold = first.Fold
	}
	s.advance(e.At)
	s.released = &Release{s.Support, e.Lost, e.SupportName, e.Agent, "", e.Content, s.at}
	if e.From == RoleObserver {
		s.released.Taker = e.UserID
	}
	s.former = append(s.former, s.Support.ID)
	s.Support, s.SupportAt = Support{}, nil
	s.Moves++
	if e.Team != "" {
		s.Team = e.Team
	}
	if e.Content != "" {
		by := e.SupportID
		if e.From == RoleObserver {
			by = ""
		}
		s.Notes = append(s.Notes, Note{by, e.SupportName, e.Content, s.at, e.ID})
	}
	return Applied
}

// connect records at which servers the support has sockets.
func (s *State) connect(e Event) Outcome {
	i := slices.Index(s.SupportAt, e.Server)
	switch {
	case e.Server == "" || !s.owns(e.SupportID):
		return Ignored
	case e.Kind == Connected && i < 0:
		s.SupportAt = append(s.SupportAt, e.Server)
	case e.Kind == Disconnected && i >= 0:
		s.SupportAt = slices.Delete(s.SupportAt, i, i+1)
	default:
		return Ignored
	}
	s.Moves++
	return Applied
}
