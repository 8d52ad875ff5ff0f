// Package log is what a chat is: a log of events (Event) in the store, and its
// state, the fold of that log (State.Apply). Whatever happens to a chat happens by
// appending an event, and every server comes to the same state by applying the
// entries in order. Store reaches the logs in Redis. The package knows neither
// rooms nor clients.
package log

import "github.com/go-json-experiment/json"

// Role is a side of a chat.
type Role string

// The two sides, as the protocol writes them.
const (
	RoleUser    Role = "User"
	RoleSupport Role = "Support"
)

// Valid reports whether r is a role that there is.
func (r Role) Valid() bool { return r == RoleUser || r == RoleSupport }

// Kind says what an event tells.
type Kind string

// The events of a chat. Servers ignore kinds that they do not know.
const (
	// Registered is the first entry of a chat: UserID, Username, ChatID, Verified.
	Registered Kind = "registered"
	// Attended: Server has opened a room and wants to hear of new entries.
	Attended Kind = "attended"
	// SupportJoined: SupportID, SupportName and Agent take the chat, unless it is
	// taken.
	SupportJoined Kind = "supportJoined"
	// Messaged: From writes Content; a Support gives the SupportID it writes as.
	Messaged Kind = "message"
)

// Event is one entry of a chat's log.
type Event struct {
	Kind Kind `json:"kind"`
	// ID tells this event from all others of the chat, so that an append which is
	// tried again after a lost answer counts once.
	ID string `json:"id,omitempty"`
	// At is the store's time in microseconds since 1970.
	At int64 `json:"at"`

	UserID      string `json:"userId,omitempty"`
	Username    string `json:"username,omitempty"`
	ChatID      string `json:"chatId,omitempty"`
	Verified    bool   `json:"verified,omitzero"` // the user has shown a token of their site
	Server      string `json:"server,omitempty"`
	SupportID   string `json:"supportId,omitempty"`
	SupportName string `json:"supportName,omitempty"`
	Agent       string `json:"agent,omitempty"` // the support's subject, where agents need a token
	From        Role   `json:"from,omitempty"`
	Content     string `json:"content,omitempty"`
	// MessageID is the client's own, if it gave one; it counts per role.
	MessageID string `json:"messageId,omitempty"`
}

// Encode makes the entry that stands in the log.
func (e *Event) Encode() []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings have been checked to be valid UTF-8
	}
	return b
}

// Decode takes an entry of a log. It never fails: what is no event is one of no kind, which the fold
// ignores. Every server must come to the same state from the same log.
func Decode(entry []byte) Event {
	var e Event
	if json.Unmarshal(entry, &e) != nil {
		return Event{}
	}
	return e
}
