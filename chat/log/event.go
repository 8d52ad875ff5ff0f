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

// RoleObserver is somebody who looks on, of neither side.
const RoleObserver Role = "Observer"

// Valid reports whether r is a side of a chat.
func (r Role) Valid() bool { return r == RoleUser || r == RoleSupport }

// Kind says what an event tells.
type Kind string

// The events of a chat, in three classes. Messages renew the chat and are numbered.
// Decisive ones change who may do what: every server of the chat must know them,
// see Version. Soft ones never renew the chat. Servers ignore kinds that they do
// not know.
const (
	// Registered is the first entry of a chat: UserID, Username, ChatID, Verified,
	// Team, and in Content the details, a JSON object, that the user has come with.
	Registered Kind = "registered"
	// RegisteredFor is Registered once the log holds an entry that takes the fold of
	// version Fold. Servers with an older one do not take it for a chat's first entry,
	// so the chat is gone for them, instead of another one than for the rest.
	RegisteredFor Kind = "registeredFor"
	// Attended: Server, with the fold of version Fold, has opened a room and wants to
	// hear of new entries. Signals: it also wants to hear the passing signals.
	Attended Kind = "attended"
	// SupportJoined: SupportID, SupportName and Agent take the chat, unless it is
	// taken. Decisive.
	SupportJoined Kind = "supportJoined"
	// Messaged: From writes Content; a Support gives the SupportID it writes as.
	Messaged Kind = "message"
	// Closed: From has ended the chat, an Observer for the support's side. Decisive, of
	// version 1.
	Closed Kind = "closed"
	// Read: From has read the messages up to the one with the number Seq. Soft.
	Read Kind = "read"
	// Noted: a support, or an observer without a SupportID, whose name SupportName is,
	// leaves the note Content for its own side. Soft.
	Noted Kind = "note"
	// Rated: the user's Score, with a comment in Content. Soft.
	Rated Kind = "rated"
)

// Version is that of this package's fold. It grows with each decisive kind; servers
// from before there were versions have 0. A decisive entry counts only where every
// server that attends the chat has the fold for it (State.Knows).
const Version = 1

// Soft reports whether entries of this kind leave the chat's life as it is.
func (k Kind) Soft() bool { return k == Read || k == Rated || k == Noted }

// needs is the version of the fold that an entry of this kind takes.
func (k Kind) needs() uint8 {
	if k == Closed {
		return 1
	}
	return 0
}

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
	Team        string `json:"team,omitempty"` // that the user asks for
	Server      string `json:"server,omitempty"`
	SupportID   string `json:"supportId,omitempty"`
	SupportName string `json:"supportName,omitempty"`
	Agent       string `json:"agent,omitempty"` // the support's subject, where agents need a token
	From        Role   `json:"from,omitempty"`
	Content     string `json:"content,omitempty"` // of a message; a rating's comment; a registration's details
	// MessageID is the client's own, if it gave one; it counts per role.
	MessageID string `json:"messageId,omitempty"`
	Seq       int64  `json:"seq,omitzero"` // a message's number, from 1
	// Small ones stand together, for an Event is allocated for every message.
	Verified bool  `json:"verified,omitzero"` // the user has shown a token of their site
	Signals  bool  `json:"signals,omitzero"`
	Fold     uint8 `json:"fold,omitzero"`
	Score    uint8 `json:"score,omitzero"` // 1 to 5
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
