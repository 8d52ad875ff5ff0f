// Package chat holds conversations. A chat is a log of events in the store, and
// its state is the fold of that log (State.Apply); whatever happens to a chat
// happens by appending an event. A room is what one server knows of a chat that
// has sockets here: the state, how far it has read, and its sessions.
//
// The way of a message: Session.Receive decodes and checks it, room.append puts
// it into the log, room.offer applies it at its position and queues it to the
// sessions of this server, and Service.publish tells the other servers that
// attend the chat.
package chat

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json"
)

// Role is a side of a chat.
type Role string

// The two sides, as the protocol writes them.
const (
	RoleUser    Role = "User"
	RoleSupport Role = "Support"
)

func (r Role) valid() bool { return r == RoleUser || r == RoleSupport }

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

func (e *Event) encode() []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings have been checked to be valid UTF-8
	}
	return b
}

// decodeEvent never fails: what is no event is one of no kind, which the fold
// ignores. Every server must come to the same state from the same log.
func decodeEvent(entry []byte) Event {
	var e Event
	if json.Unmarshal(entry, &e) != nil {
		return Event{}
	}
	return e
}

// News is what servers tell each other about a chat, on its topic: that the log
// has an entry at position seq, and usually which. The payload is the position
// in decimal, then a space and the entry. Its header is the W3C trace context of
// the publication, if that is traced: the first member of the entry, where servers
// that do not know it ignore it. The log has none.
func encodeNews(seq int64, entry []byte, traceparent string) []byte {
	b := make([]byte, 0, 20+len(entry)+len(header)+2+len(traceparent))
	b = strconv.AppendInt(b, seq, 10)
	if entry == nil {
		return b
	}
	b = append(b, ' ')
	if traceparent != "" {
		b = append(append(append(b, header...), traceparent...), `",`...)
		entry = entry[1:]
	}
	return append(b, entry...)
}

const header = `{"traceparent":"`

// traceparentOf returns the trace context in the entry that news has brought; it
// is empty if there is none.
func traceparentOf(entry []byte) string {
	rest, found := bytes.CutPrefix(entry, []byte(header))
	if !found {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(value)
}

var errNews = errors.New("chat: malformed news")

// decodeNews returns a nil entry if the news does not bring it.
func decodeNews(payload []byte) (seq int64, entry []byte, err error) {
	for i, c := range payload {
		switch {
		case c >= '0' && c <= '9' && i < 18:
			seq = seq*10 + int64(c-'0')
		case c == ' ' && i > 0:
			return seq, payload[i+1:], nil
		default:
			return 0, nil, errNews
		}
	}
	if seq == 0 {
		return 0, nil, errNews
	}
	return seq, nil, nil
}
