// Package wire holds what the messages of both ports have in common: the
// envelope and its strict decoding, the error codes, the close codes, ids and
// the client to whom messages go. It knows no message of its own but Error.
package wire

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Peer is one connected client. Its methods may be called concurrently and
// never block.
type Peer interface {
	// Queue puts frames, as the server's Frame function made them, behind what
	// is queued already. A peer that reads too slowly is closed instead.
	Queue(frames []byte)
	// Flush sends what is queued.
	Flush()
	// Close sends what is queued, then a close frame, and ends the connection.
	Close(code int, reason string)
	// Heartbeat sets how often the client gets its ping from now on; 0 is as often
	// as one that has not asked. It is for a session's Receive alone.
	Heartbeat(interval time.Duration)
}

// Identity is who a verified token says a client is.
type Identity struct {
	Subject    string    // tells this person from all others
	Name       string    // has passed the function Name
	Supervisor bool      // may look on in any chat
	Expires    time.Time // until when the token counts
}

// Close codes of PROTOCOL.md, "Errors and close codes".
const (
	CloseNormal   = 1000 // chat expired or idle
	CloseAway     = 1001 // server shutting down
	CloseProtocol = 1002 // RFC 6455 violated
	ClosePolicy   = 1008
	CloseTooBig   = 1009
	CloseTryLater = 1013
)

// Code names what was wrong with a request.
type Code string

// The codes of PROTOCOL.md, "Errors and close codes", and of its HTTP errors.
const (
	BadJSON      Code = "bad_json"
	UnknownType  Code = "unknown_type"
	BadRequest   Code = "bad_request"
	BadUsername  Code = "bad_username"
	NotJoined    Code = "not_joined"
	Forbidden    Code = "forbidden"
	AlreadyTaken Code = "already_taken"
	TooLarge     Code = "too_large"
	RateLimited  Code = "rate_limited"
	ChatFull     Code = "chat_full"
	Unauthorized Code = "unauthorized"
	Unavailable  Code = "unavailable"
	ChatClosed   Code = "chat_closed"
)

// Error is a refusal that a client may see: a code and one plain sentence.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// NewError makes an Error. Its message is for clients: it must not tell internals.
func NewError(code Code, message string) *Error { return &Error{code, message} }

// ErrUnavailable is the answer while the store cannot be reached.
var ErrUnavailable = NewError(Unavailable, "The service is unavailable at the moment. Please try again.")

// Public returns what a client may see of err: an *Error in its chain as it
// is, anything else as ErrUnavailable.
func Public(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return ErrUnavailable
}

type errorArgs struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`
	MessageID string `json:"messageId,omitempty"`
}

// Payload is the Error message for e. A messageID is echoed when not empty.
func (e *Error) Payload(messageID string) []byte {
	return Encode("Error", errorArgs{e.Code, e.Message, messageID})
}

// Encode makes the payload {"type":kind,"args":args}. It panics if args cannot
// be encoded, which is a programming error.
func Encode(kind string, args any) []byte {
	b, err := json.Marshal(struct {
		Type string `json:"type"`
		Args any    `json:"args"`
	}{kind, args})
	if err != nil {
		panic(err)
	}
	return b
}

// Clients may repeat a name in an object; the last one counts.
var lenient = jsontext.AllowDuplicateNames(true)

// span is where a value stands in what is decoded.
type span struct{ from, to int64 }

func (s *span) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	s.to = d.InputOffset()
	s.from = s.to - int64(len(value))
	return err
}

func (s span) of(b []byte) jsontext.Value { return b[s.from:s.to] }

// Decode takes a client's frame apart: valid UTF-8, one JSON object, a type
// that is a non-empty string. args is a part of frame, checked for syntax only; it is
// nil when missing or null.
func Decode(frame []byte) (kind string, args jsontext.Value, err *Error) {
	var envelope struct {
		Type span `json:"type"`
		Args span `json:"args"`
	}
	if jsontext.Value(frame).Kind() != '{' || json.Unmarshal(frame, &envelope, lenient) != nil {
		return "", nil, NewError(BadJSON, "Send one JSON object in a text frame.")
	}
	name := envelope.Type.of(frame)
	if name.Kind() != '"' || json.Unmarshal(name, &kind) != nil || kind == "" {
		return "", nil, NewError(BadRequest, `The field "type" must be a non-empty string.`)
	}
	args = envelope.Args.of(frame)
	if len(args) == 0 || args.Kind() == 'n' {
		return kind, nil, nil
	}
	return kind, args, nil
}

// DecodeArgs decodes the args of a message into the struct that args points to.
// Missing and null fields keep their zero value, unknown ones are ignored, one of the
// wrong kind is BadRequest.
func DecodeArgs(from jsontext.Value, args any) *Error {
	if from == nil {
		return nil
	}
	err := json.Unmarshal(from, args, lenient)
	if err == nil {
		return nil
	}
	var own *Error // of a field that checks itself
	if errors.As(err, &own) {
		return own
	}
	field := "args"
	var semantic *json.SemanticError
	if errors.As(err, &semantic) && semantic.JSONPointer != "" {
		field = strings.TrimPrefix(string(semantic.JSONPointer), "/")
	}
	return NewError(BadRequest, `The field "`+field+`" has the wrong type.`)
}

// Missing is the BadRequest for a field that must be there and not empty.
func Missing(field string) *Error {
	return NewError(BadRequest, `The field "`+field+`" is missing or empty.`)
}

// UnknownKind is the answer to a type that this server does not take.
var UnknownKind = NewError(UnknownType, "This server does not support this type of message.")

// IsPong reports whether a frame answers the heartbeat in one of its two forms
// (PROTOCOL.md, "Common rules"): the word, or a JSON object that Decode has
// found to be of this kind.
func IsPong(frame []byte) bool {
	return string(frame) == "pong:user" || string(frame) == "pong:support"
}

// KindPong is the JSON form of the heartbeat's answer.
const KindPong = "Pong"

// NewID makes 128 random bits as 32 lower-case hex digits.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// ValidID reports whether s has the form of an id: 32 lower-case hex digits.
func ValidID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// SameID compares ids in a time that does not tell how much of them is the same:
// who knows a user's id may join their chat.
func SameID(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// ShortID is what a log shows of an id: enough to find its chat in the store, and
// nothing that a Join could be made of.
func ShortID(id string) string { return id[:min(8, len(id))] }
