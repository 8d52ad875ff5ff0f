package log

import "slices"

// MaxMessages is how many messages a chat can hold (PROTOCOL.md, chat_full).
// Servers must agree on it: it is part of the fold.
const MaxMessages = 10_000

// Message is one line of the conversation, as it was delivered.
type Message struct {
	From      Role
	SupportID string // the chat's support at that moment, "" while the user waited
	Content   string
	At        int64 // microseconds since 1970; never decreases within a chat
	MessageID string
	Seq       int64 // its number within the chat, from 1
}

// Support is who answers a chat.
type Support struct {
	ID, Name string
	Agent    string // the subject of their token, "" where agents need none
}

// Server is one that has attended a chat.
type Server struct {
	ID      string
	Fold    uint8 // the version of its fold
	Signals bool  // it wants to hear the passing signals
}

// Marks say up to which number a role has read the messages.
type Marks struct{ User, Support int64 }

// Of is the mark of a role.
func (m *Marks) Of(r Role) *int64 {
	if r == RoleSupport {
		return &m.Support
	}
	return &m.User
}

// Rating is what the user thinks of the chat. The zero Rating is none.
type Rating struct {
	Score   uint8
	Comment string
	At      int64
}

// Note is what a support's side has written for itself. It is no message: nothing
// that makes a history can reach it.
type Note struct {
	SupportID   string // "" of an observer
	SupportName string
	Content     string
	At          int64

	id string
}

// Closing is how a chat was ended. The zero Closing is that of an open one.
type Closing struct {
	From Role
	At   int64
}

// State is what a chat's log tells. The zero State is that of an empty log.
// Servers that have applied the same entries have equal states. Not safe for
// concurrent use.
type State struct {
	UserID, Username, ChatID string
	Verified                 bool    // the user has shown a token of their site
	Team, Details            string  // as registered; Details is a JSON object or ""
	Support                  Support // zero while nobody has the chat
	Supported                bool    // somebody has or had it
	Messages                 []Message
	Servers                  []Server
	Read                     Marks
	Rating                   Rating
	Notes                    []Note
	Closed                   Closing

	registration Event
	at           int64          // the latest time so far
	known        map[string]int // index of a message by its key
	ratings      int
}

// maxRatings is how often a chat can be rated. Like MaxMessages it is part of the
// fold.
const maxRatings = 100

// MaxNotes is how many notes a chat can hold (PROTOCOL.md, "notes"), likewise.
const MaxNotes = 1000

// Outcome says what Apply has made of an event.
type Outcome int

const (
	// Ignored: it tells nothing here (of unknown kind, out of place, or known).
	Ignored Outcome = iota
	// Applied: the state has changed, or was so already by this very event.
	Applied
	// Repeated: the message is in the chat already (State.Find).
	Repeated
	// Refused: another support has the chat.
	Refused
	// Full: the chat holds as many of these as it can.
	Full
	// Over: the chat has been closed.
	Over
	// Unknown: a server that attends the chat does not know this kind.
	Unknown
)

// Apply is the fold: it takes the log's next entry. It is deterministic and
// does nothing else.
func (s *State) Apply(e Event) Outcome {
	if s.ChatID == "" {
		return s.register(e)
	}
	if !s.Knows(e.Kind) {
		return Unknown
	}
	switch e.Kind {
	case Attended:
		return s.attend(e)
	case SupportJoined:
		switch {
		case s.Support.ID == e.SupportID && e.SupportID != "":
			return Applied
		case s.Support.ID != "":
			return Refused
		case s.Closed.From != "":
			return Over
		}
		s.Support, s.Supported = Support{e.SupportID, e.SupportName, e.Agent}, true
		s.advance(e.At)
		return Applied
	case Messaged:
		return s.message(e)
	case Closed:
		return s.close(e)
	case Read:
		return s.read(e)
	case Rated:
		return s.rate(e)
	case Noted:
		return s.note(e)
	}
	return Ignored
}

func (s *State) register(e Event) Outcome {
	first := e.Kind == Registered || e.Kind == RegisteredFor && e.Fold <= Version
	if !first || e.ChatID == "" {
		return Ignored
	}
	s.UserID, s.Username, s.ChatID, s.Verified = e.UserID, e.Username, e.ChatID, e.Verified
	s.Team, s.Details = e.Team, e.Content
	s.registration = e
	s.advance(e.At)
	return Applied
}

// Registration returns the entry that must stand in the place of the log's first
// one when an event of this kind is appended; nil if it is the right one already.
func (s *State) Registration(k Kind) *Event {
	if k.needs() <= s.registration.Fold {
		return nil
	}
	e := s.registration
	e.Kind, e.Fold = RegisteredFor, k.needs()
	return &e
}

// Knows reports whether every server of the chat has a fold that takes events of
// this kind.
func (s *State) Knows(k Kind) bool {
	needs := k.needs()
	return needs == 0 || !slices.ContainsFunc(s.Servers, func(other Server) bool { return other.Fold < needs })
}

func (s *State) attend(e Event) Outcome {
	if e.Server == "" {
		return Ignored
	}
	now := Server{e.Server, e.Fold, e.Signals}
	i := slices.IndexFunc(s.Servers, func(one Server) bool { return one.ID == e.Server })
	switch {
	case i < 0:
		s.Servers = append(s.Servers, now)
	case now.Signals && !s.Servers[i].Signals:
		s.Servers[i].Signals = true
	default:
		return Ignored
	}
	return Applied
}

func (s *State) message(e Event) Outcome {
	key := messageKey(e.From, e.MessageID, e.ID)
	if _, known := s.known[key]; known {
		return Repeated
	}
	switch {
	case !e.From.Valid() || key == "":
		return Ignored
	case e.From == RoleSupport && !s.owns(e.SupportID):
		return Refused
	case s.Closed.From != "":
		return Over
	case len(s.Messages) >= MaxMessages:
		return Full
	}
	s.advance(e.At)
	if s.known == nil {
		s.known = map[string]int{}
	}
	s.known[key] = len(s.Messages)
	s.Messages = append(s.Messages, Message{e.From, s.Support.ID, e.Content, s.at, e.MessageID, int64(len(s.Messages)) + 1})
	return Applied
}

func (s *State) close(e Event) Outcome {
	switch {
	case s.Closed.From != "":
		return Ignored
	case !e.From.Valid() && e.From != RoleObserver:
		return Ignored
	case e.From == RoleSupport && !s.owns(e.SupportID):
		return Refused
	}
	by := e.From
	if by == RoleObserver {
		by = RoleSupport
	}
	if first := s.Registration(Closed); first != nil {
		s.registration = *first
	}
	s.advance(e.At)
	s.Closed = Closing{by, s.at}
	return Applied
}

// owns reports whether a supportId is that of the chat's support.
func (s *State) owns(supportID string) bool { return supportID != "" && supportID == s.Support.ID }

func (s *State) note(e Event) Outcome {
	switch {
	case s.HasNote(e.ID):
		return Ignored
	case s.Closed.From != "":
		return Over
	case e.From != RoleObserver && !s.owns(e.SupportID):
		return Refused
	case len(s.Notes) >= MaxNotes:
		return Full
	}
	s.advance(e.At)
	s.Notes = append(s.Notes, Note{e.SupportID, e.SupportName, e.Content, s.at, e.ID})
	return Applied
}

// HasNote reports whether a note of this event is in the chat.
func (s *State) HasNote(id string) bool {
	return id != "" && slices.ContainsFunc(s.Notes, func(n Note) bool { return n.id == id })
}

func (s *State) read(e Event) Outcome {
	if !e.From.Valid() || e.Seq > int64(len(s.Messages)) || e.Seq <= *s.Read.Of(e.From) {
		return Ignored
	}
	*s.Read.Of(e.From) = e.Seq
	return Applied
}

func (s *State) rate(e Event) Outcome {
	switch {
	case !s.Supported || e.Score < 1 || e.Score > 5:
		return Ignored
	case s.ratings >= maxRatings:
		return Full
	}
	s.ratings++
	s.advance(e.At)
	s.Rating = Rating{e.Score, e.Content, s.at}
	return Applied
}

// advance keeps the chat's time from running backwards, whatever the servers'
// clocks say.
func (s *State) advance(at int64) { s.at = max(s.at, at) }

// Find returns the message that a repetition repeats.
func (s *State) Find(from Role, messageID, id string) (Message, bool) {
	i, ok := s.known[messageKey(from, messageID, id)]
	if !ok {
		return Message{}, false
	}
	return s.Messages[i], true
}

// messageKey is what makes a message the same one: the client's id within its
// role, or else the event's.
func messageKey(from Role, messageID, id string) string {
	if messageID != "" {
		return string(from) + ":" + messageID
	}
	return id
}

// AttendedByOthers reports whether news of this chat interests anybody but the
// given server.
func (s *State) AttendedByOthers(server string) bool {
	return slices.ContainsFunc(s.Servers, func(other Server) bool { return other.ID != server })
}

// Server returns what is known of a server that has attended; the zero Server if it
// has not.
func (s *State) Server(id string) Server {
	if i := slices.IndexFunc(s.Servers, func(one Server) bool { return one.ID == id }); i >= 0 {
		return s.Servers[i]
	}
	return Server{}
}

// LastMessage is the one that was applied latest.
func (s *State) LastMessage() Message { return s.Messages[len(s.Messages)-1] }
