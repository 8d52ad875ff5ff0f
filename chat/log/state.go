package log

import (
	"reflect"
	"slices"
)

// MaxMessages is the maximum number of messages in a chat (web/api/README.md, "Errors and close
// codes"). It is part of the fold, so all servers must have the same value.
const MaxMessages = 10_000

// Message is a message of the conversation, as it was delivered.
type Message struct {
	From      Role
	SupportID string // the chat's support at that time, "" while the user waited
	Content   string
	At        int64 // microseconds since 1970; never decreases within a chat
	MessageID string
	Seq       int64 // its number within the chat, from 1
}

// Server is a server that has attended a chat.
type Server struct {
	ID      string
	Fold    uint8 // the version of its fold
	Signals bool  // it wants signals
}

// Marks has the number of the last message that each role has read.
type Marks struct{ User, Support int64 }

// Of returns the mark of a role.
func (m *Marks) Of(r Role) *int64 {
	if r == RoleSupport {
		return &m.Support
	}
	return &m.User
}

// Rating is the user's rating of the chat. The zero Rating means none.
type Rating struct {
	Score   uint8
	Comment string
	At      int64
}

// Note is a note from the support's side to itself. It is not a message, and nothing that makes
// a history has access to it.
type Note struct {
	SupportID   string // "" if an observer wrote it
	SupportName string
	Content     string
	At          int64

	id string
}

// Closing says how a chat was ended. The zero Closing is that of an open chat.
type Closing struct {
	From Role
	At   int64
}

// State is the state of a chat, the fold of its log. The zero State is that of an empty log.
// Servers that have applied the same entries have equal states. It is not safe for concurrent
// use.
type State struct {
	UserID, Username, ChatID string
	Verified                 bool     // the user has a token of their site
	Team, Details            string   // Details is a JSON object or ""
	Since                    int64    // when the first server attended, or the user's new wait began
	Support                  Support  // zero while the chat has no support
	Supported                bool     // the chat has or had a support
	SupportAt                []string // servers with sockets of the support
	Moves                    int64    // counts the arrivals and departures of supports and of their sockets
	Waits                    int64    // counts the Announced entries
	Messages                 []Message
	Servers                  []Server
	Read                     Marks
	Rating                   Rating
	Notes                    []Note
	Closed                   Closing
	Ended                    int64  // when the chat expired, in an ended log
	Subject                  string // of the user's token
	Uploads                  []Upload

	registered registration
	released   *Release         // the last release, nil after a support has joined
	at         int64            // the latest time so far
	known      map[string]int   // index of a message by its key
	carried    map[int64][]File // the files of messages, by number; nil without any
	former     []string         // former supportIds of the chat
	ratings    int
}

// registration has the parts of the first entry that the State does not show.
type registration struct {
	at   int64
	team string // that the user asked for
	fold uint8
}

// maxRatings is how often a chat can be rated. Like MaxMessages, it is part of the fold.
const maxRatings = 100

// MaxNotes is the maximum number of notes in a chat (web/api/README.md, "notes"). It is part
// of the fold, too.
const MaxNotes = 1000

// Outcome is the result of applying an event.
type Outcome int

const (
	// Ignored: the event has no effect (unknown kind, out of place, or already known).
	Ignored Outcome = iota
	// Applied: the state has changed, now or before, because of this event.
	Applied
	// Repeated: the message is already in the chat (State.Find).
	Repeated
	// Refused: another support, or none, has the chat.
	Refused
	// Full: the chat has the maximum number of these.
	Full
	// Over: the chat was closed.
	Over
	// Missing: the message has a file that does not belong to the chat.
	Missing
	// Unknown: a server that attends the chat does not know this kind.
	Unknown
)

// Apply is the fold: it applies the log's next entry. It is deterministic and has no other
// effects.
func (s *State) Apply(e Event) Outcome {
	if s.ChatID == "" {
		return s.register(e)
	}
	switch {
	case s.Ended != 0:
		return Ignored
	case !s.Knows(e.Kind):
		return Unknown
	}
	switch e.Kind {
	case Attended:
		return s.attend(e)
	case SupportJoined:
		return s.join(e)
	case Released:
		return s.release(e)
	case Connected, Disconnected:
		return s.connect(e)
	case Announced:
		return s.announce(e)
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
	case Ended:
		s.advance(e.At)
		s.Ended = s.at
		return Applied
	case Uploaded:
		return s.upload(e)
	case Discarded:
		return s.discard(e)
	}
	return Ignored
}

func (s *State) register(e Event) Outcome {
	first := e.Kind == Registered || e.Kind == RegisteredFor && e.Fold <= Version
	if !first || e.ChatID == "" {
		return Ignored
	}
	s.UserID, s.Username, s.ChatID, s.Verified = e.UserID, e.Username, e.ChatID, e.Verified
	s.Team, s.Details, s.Subject = e.Team, e.Content, e.Agent
	s.registered = registration{e.At, e.Team, e.Fold}
	s.advance(e.At)
	return Applied
}

// Registration returns the entry that must replace the log's first one when an event of this kind
// is appended, nil if it need not be replaced. If every server has this fold, the entry is for
// this fold, even if an older one would be enough, so that concurrent appends of two servers
// cannot undo it.
func (s *State) Registration(k Kind) *Event {
	needs := k.needs()
	if needs <= s.registered.fold {
		return nil
	}
	if s.haveFold(Version) {
		needs = Version
	}
	return &Event{
		Kind: RegisteredFor, Fold: needs, At: s.registered.at, UserID: s.UserID, Username: s.Username, ChatID: s.ChatID,
		Verified: s.Verified, Agent: s.Subject, Team: s.registered.team, Content: s.Details,
	}
}

// Knows reports whether every server of the chat has a fold that knows events of this kind.
func (s *State) Knows(k Kind) bool { return s.haveFold(k.needs()) }

func (s *State) haveFold(version uint8) bool {
	return version == 0 || !slices.ContainsFunc(s.Servers, func(other Server) bool { return other.Fold < version })
}

func (s *State) attend(e Event) Outcome {
	if e.Server == "" {
		return Ignored
	}
	anew := e.From == RoleUser
	if s.Since == 0 || anew {
		s.Since = e.At
	}
	now := Server{e.Server, e.Fold, e.Signals}
	i := slices.IndexFunc(s.Servers, func(one Server) bool { return one.ID == e.Server })
	switch {
	case i < 0:
		s.Servers = append(s.Servers, now)
	case now.Signals && !s.Servers[i].Signals:
		s.Servers[i].Signals = true
	case !anew:
		return Ignored
	}
	return Applied
}

// announce begins a wait of the user. If two servers announce the same wait, the first one wins.
func (s *State) announce(e Event) Outcome {
	if e.Seq != s.Waits || s.Support.ID != "" || s.Closed.From != "" {
		return Ignored
	}
	s.Waits++
	s.advance(e.At)
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
	case !s.HasFiles(e.Files):
		return Missing
	}
	s.advance(e.At)
	if s.known == nil {
		s.known = map[string]int{}
	}
	s.known[key] = len(s.Messages)
	s.Messages = append(s.Messages, Message{e.From, s.Support.ID, e.Content, s.at, e.MessageID, int64(len(s.Messages)) + 1})
	s.carry(e.Files)
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
		s.registered.fold = first.Fold
	}
	s.advance(e.At)
	s.Closed = Closing{by, s.at}
	return Applied
}

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

// HasNote reports whether the chat has the note of the event with this id.
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

// advance keeps the chat's time from running backwards, whatever the servers' clocks say.
func (s *State) advance(at int64) { s.at = max(s.at, at) }

// Equal reports whether two states have come from the same entries. The first entry may have been
// replaced meanwhile (Registration).
func (s *State) Equal(other *State) bool {
	a, b := *s, *other
	a.registered.fold, b.registered.fold = 0, 0
	return reflect.DeepEqual(a, b)
}

// Time returns the time of the latest entry that advances the chat's time, in microseconds since
// 1970. Messages to clients about that entry have this timestamp.
func (s *State) Time() int64 { return s.at }

// Find returns the message that a repetition repeats.
func (s *State) Find(from Role, messageID, id string) (Message, bool) {
	i, ok := s.known[messageKey(from, messageID, id)]
	if !ok {
		return Message{}, false
	}
	return s.Messages[i], true
}

// messageKey returns the identity of a message: the client's id within its role, or else the
// event's id.
func messageKey(from Role, messageID, id string) string {
	if messageID != "" {
		return string(from) + ":" + messageID
	}
	return id
}

// Identities are those of messages.
type Identities map[string]struct{}

// Has reports whether an event is the logging of one of these messages.
func (ids Identities) Has(e *Event) bool {
	_, ok := ids[messageKey(e.From, e.MessageID, e.ID)]
	return ok && e.Kind == Messaged
}

// Lost returns the messages that this state has and a later one has not.
func (s *State) Lost(later *State) Identities {
	lost := Identities{}
	for key := range s.known {
		if _, ok := later.known[key]; !ok {
			lost[key] = struct{}{}
		}
	}
	return lost
}

// AttendedByOthers reports whether servers other than the given one want news of this chat.
func (s *State) AttendedByOthers(server string) bool {
	return slices.ContainsFunc(s.Servers, func(other Server) bool { return other.ID != server })
}

// Server returns a server that has attended, or the zero Server if it has not.
func (s *State) Server(id string) Server {
	if i := slices.IndexFunc(s.Servers, func(one Server) bool { return one.ID == id }); i >= 0 {
		return s.Servers[i]
	}
	return Server{}
}

// LastMessage returns the message that was applied last.
func (s *State) LastMessage() Message { return s.Messages[len(s.Messages)-1] }
