// Package log defines what a chat is: a log of events (Event) in the store, and the state that is
// the fold of that log (State.Apply). Every change to a chat is an appended event, and every
// server gets the same state by applying the entries in order. Store accesses the logs in Redis.
// The package knows neither rooms nor clients.
package log

import (
	"bytes"
	"strconv"
	"sync"

	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
)

// Role is a side of a chat.
type Role string

// The two sides, as the protocol writes them.
const (
	RoleUser    Role = "User"
	RoleSupport Role = "Support"
)

// RoleObserver is the role of an observer, who belongs to neither side.
const RoleObserver Role = "Observer"

// Valid reports whether r is a side of a chat.
func (r Role) Valid() bool { return r == RoleUser || r == RoleSupport }

// Kind is the kind of an event.
type Kind string

// The kinds of events of a chat, in three classes. Messages renew the chat and are numbered.
// Decisive events change who may do what; every server of the chat must know them, see Version.
// Soft events never renew the chat. Servers ignore unknown kinds.
const (
	// Registered is the first entry of a chat: UserID, Username, ChatID, Verified, Team, and
	// in Content the details from the registration, a JSON object.
	Registered Kind = "registered"
	// Consented: the user agreed to Content, a JSON object with "text" and "link", at the
	// registration. The fold ignores it; it is archived with the chat.
	Consented Kind = "consented"
	// RegisteredFor replaces Registered once the log has an entry that needs the fold of
	// version Fold. Servers with an older fold do not recognise it as a chat's first entry, so
	// the chat is gone for them, rather than in another state than for the other servers.
	RegisteredFor Kind = "registeredFor"
	// Attended: Server, with the fold of version Fold, has opened a room and wants news of new
	// entries. With Signals, it also wants signals. With From RoleUser, the user, whom the
	// queue had dropped, waits again from At on.
	Attended Kind = "attended"
	// SupportJoined: the support with SupportID, SupportName and Agent takes the chat, unless
	// it is taken, with a socket at Server. If a support takes back a lost chat, Seq is the
	// State.Moves that was seen before. Decisive.
	SupportJoined Kind = "supportJoined"
	// Released: the chat no longer has its support SupportID. Either From, with the name
	// SupportName, has transferred it to Agent, to Team or, without either, to the queue, with
	// the note Content; UserID is the subject of an observer who may then take it. Or the
	// support is Lost, as of the State.Moves in Seq. Decisive, of version 2.
	Released Kind = "released"
	// Connected and Disconnected: Server has sockets of the support SupportID, or has had none
	// since At. Soft.
	Connected    Kind = "connected"
	Disconnected Kind = "disconnected"
	// Announced: the user, who was not in the queue, is about to enter it. Seq is the
	// State.Waits that the server has seen before. Released implies it. It is only logged for
	// deployments with followers of live chats. Soft.
	Announced Kind = "announced"
	// Messaged: From sends Content. A Support's event has its SupportID.
	Messaged Kind = "message"
	// Closed: From has ended the chat; an Observer does so for the support's side. Decisive, of
	// version 1.
	Closed Kind = "closed"
	// Read: From has read the messages up to the one with the number Seq. Soft.
	Read Kind = "read"
	// Noted: a support, or an observer without a SupportID, with the name SupportName, has
	// written the note Content for its own side. Soft.
	Noted Kind = "note"
	// Ended is the last entry of an ended log (Store.End). Decisive, but without a version,
	// because servers never see a log with it.
	Ended Kind = "ended"
	// Left is the only entry of a log that is not a chat's: a left message, a JSON object in
	// Content. The fold ignores it.
	Left Kind = "left"
	// Rated: the user has rated the chat with Score, and a comment in Content. Soft.
	Rated Kind = "rated"
	// Uploaded: From, a Support with its SupportID, has uploaded the file in Files, unless the
	// chat already has Seq files. Messages refer to it. Like a soft event it does not renew the
	// chat, but every server must know it: of version 3.
	Uploaded Kind = "uploaded"
	// Discarded: the file in Files, which no message has, is deleted. Of version 3 as well.
	Discarded Kind = "discarded"
)

// Version is the version of this package's fold. It grows with each decisive kind; servers from
// before versions have 0. A decisive entry is only valid if every server that attends the chat
// has a fold for it (State.Knows).
const Version = 3

// Soft reports whether entries of this kind do not renew the chat.
func (k Kind) Soft() bool {
	switch k {
	case Read, Rated, Noted, Connected, Disconnected, Announced, Uploaded, Discarded:
		return true
	}
	return false
}

// needs returns the version of the fold that an entry of this kind needs.
func (k Kind) needs() uint8 {
	switch k {
	case Closed:
		return 1
	case Released:
		return 2
	case Uploaded, Discarded:
		return 3
	}
	return 0
}

// Event is one entry of a chat's log.
type Event struct {
	Kind Kind `json:"kind"`
	// ID is unique in the chat, so that an append that is repeated after a lost answer counts
	// once.
	ID string `json:"id,omitempty"`
	// At is the store's time in microseconds since 1970.
	At int64 `json:"at"`

	UserID      string `json:"userId,omitempty"`
	Username    string `json:"username,omitempty"`
	ChatID      string `json:"chatId,omitempty"`
	Team        string `json:"team,omitempty"` // that the user asks for or is transferred to
	Server      string `json:"server,omitempty"`
	SupportID   string `json:"supportId,omitempty"`
	SupportName string `json:"supportName,omitempty"`
	Agent       string `json:"agent,omitempty"` // the support's token subject; of Released, the agent to offer the user to; of Registered, the user's token subject
	From        Role   `json:"from,omitempty"`
	Content     string `json:"content,omitempty"` // of a message; a note; a rating's comment; a registration's details; a consent
	// MessageID is the client's own id of the message, if any. It is unique within a role.
	MessageID string `json:"messageId,omitempty"`
	Seq       int64  `json:"seq,omitzero"`   // a message's number, from 1; State.Moves; State.Waits; how many files there may be
	Files     *Files `json:"files,omitzero"` // a pointer, because an Event is allocated for every message
	// Small fields are together, because an Event is allocated for every message.
	Verified bool  `json:"verified,omitzero"` // the user has a token of their site
	Signals  bool  `json:"signals,omitzero"`
	Lost     bool  `json:"lost,omitzero"`
	Fold     uint8 `json:"fold,omitzero"`
	Score    uint8 `json:"score,omitzero"` // 1 to 5
}

// Encode makes the entry for the log. Every message and Join needs it, so it encodes by hand,
// into reused memory, and returns a copy.
func (e *Event) Encode() []byte {
	b := scratch.Get().(*[]byte)
	defer scratch.Put(b)
	*b = e.append((*b)[:0])
	return bytes.Clone(*b)
}

var scratch = sync.Pool{New: func() any { return new([]byte) }}

func (e *Event) append(b []byte) []byte {
	text := func(name, value string) {
		if value != "" {
			b = wire.AppendString(append(b, name...), value)
		}
	}
	number := func(name string, value int64) {
		if value != 0 {
			b = strconv.AppendInt(append(b, name...), value, 10)
		}
	}
	yes := func(name string, value bool) {
		if value {
			b = append(append(b, name...), "true"...)
		}
	}
	b = wire.AppendString(append(b, `{"kind":`...), string(e.Kind))
	text(`,"id":`, e.ID)
	b = strconv.AppendInt(append(b, `,"at":`...), e.At, 10)
	text(`,"userId":`, e.UserID)
	text(`,"username":`, e.Username)
	text(`,"chatId":`, e.ChatID)
	text(`,"team":`, e.Team)
	text(`,"server":`, e.Server)
	text(`,"supportId":`, e.SupportID)
	text(`,"supportName":`, e.SupportName)
	text(`,"agent":`, e.Agent)
	text(`,"from":`, string(e.From))
	text(`,"content":`, e.Content)
	text(`,"messageId":`, e.MessageID)
	number(`,"seq":`, e.Seq)
	if e.Files != nil {
		files, err := json.Marshal(e.Files)
		if err != nil {
			panic(err) // names were checked to be valid UTF-8
		}
		b = append(append(b, `,"files":`...), files...)
	}
	yes(`,"verified":`, e.Verified)
	yes(`,"signals":`, e.Signals)
	yes(`,"lost":`, e.Lost)
	number(`,"fold":`, int64(e.Fold))
	number(`,"score":`, int64(e.Score))
	return append(b, '}')
}

// Decode decodes an entry of a log. It never fails, because every server must get the same state
// from the same log: an invalid entry becomes an event without a kind, which the fold ignores.
func Decode(entry []byte) Event {
	var e Event
	if json.Unmarshal(entry, &e) != nil {
		return Event{}
	}
	return e
}
