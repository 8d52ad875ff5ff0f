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
}

// Support is who answers a chat.
type Support struct {
	ID, Name string
	Agent    string // the subject of their token, "" where agents need none
}

// State is what a chat's log tells. The zero State is that of an empty log.
// Servers that have applied the same entries have equal states. Not safe for
// concurrent use.
type State struct {
	UserID, Username, ChatID string
	Verified                 bool    // the user has shown a token of their site
	Support                  Support // zero while nobody has taken the chat
	Messages                 []Message
	Servers                  []string // those that have attended

	at    int64          // the latest time so far
	known map[string]int // index of a message by its key
}

// Outcome says what Apply has made of an event.
type Outcome int

const (
	// Ignored: it tells nothing here (of unknown kind, or out of place).
	Ignored Outcome = iota
	// Applied: the state has changed, or was so already by this very event.
	Applied
	// Repeated: the message is in the chat already (State.Find).
	Repeated
	// Refused: another support has the chat.
	Refused
	// Full: the chat holds MaxMessages.
	Full
)

// Apply is the fold: it takes the log's next entry. It is deterministic and
// does nothing else.
func (s *State) Apply(e Event) Outcome {
	if s.ChatID == "" {
		if e.Kind != Registered || e.ChatID == "" {
			return Ignored
		}
		s.UserID, s.Username, s.ChatID, s.Verified = e.UserID, e.Username, e.ChatID, e.Verified
		s.advance(e.At)
		return Applied
	}
	switch e.Kind {
	case Attended:
		if e.Server == "" || slices.Contains(s.Servers, e.Server) {
			return Ignored
		}
		s.Servers = append(s.Servers, e.Server)
		return Applied
	case SupportJoined:
		switch s.Support.ID {
		case "":
			s.Support = Support{e.SupportID, e.SupportName, e.Agent}
			s.advance(e.At)
			return Applied
		case e.SupportID:
			return Applied
		}
		return Refused
	case Messaged:
		return s.message(e)
	}
	return Ignored
}

func (s *State) message(e Event) Outcome {
	key := messageKey(e.From, e.MessageID, e.ID)
	if _, known := s.known[key]; known {
		return Repeated
	}
	switch {
	case !e.From.Valid() || key == "":
		return Ignored
	case e.From == RoleSupport && (e.SupportID == "" || e.SupportID != s.Support.ID):
		return Refused
	case len(s.Messages) >= MaxMessages:
		return Full
	}
	s.advance(e.At)
	if s.known == nil {
		s.known = map[string]int{}
	}
	s.known[key] = len(s.Messages)
	s.Messages = append(s.Messages, Message{e.From, s.Support.ID, e.Content, s.at, e.MessageID})
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
	for _, other := range s.Servers {
		if other != server {
			return true
		}
	}
	return false
}

// LastMessage is the one that was applied latest.
func (s *State) LastMessage() Message { return s.Messages[len(s.Messages)-1] }
