// Package wire has what the messages of both ports have in common: the envelope and its
// strict decoding, the error codes, the close codes, ids, and the client that messages go
// to. Error is the only message that it defines.
package wire

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Peer is a connected client. Its methods are safe for concurrent use and never block.
type Peer interface {
	// Queue appends frames, made by the server's Frame function, to the peer's queue. It
	// closes a peer that reads too slowly instead.
	Queue(frames []byte)
	// Flush sends the queued frames.
	Flush()
	// Close sends the queued frames and a close frame, and ends the connection.
	Close(code int, reason string)
	// Heartbeat sets the interval between pings from now on; 0 means the default. Only a
	// session's Receive may call it.
	Heartbeat(interval time.Duration)
}

// Identity is a client's identity from a verified token.
type Identity struct {
	Subject    string    // unique to this person
	Name       string    // a result of the function Name
	Supervisor bool      // may watch any chat
	Teams      []string  // sees users of these teams and those without a team; empty means all
	Expires    time.Time // when the token expires
}

// Close codes of web/api/README.md, "Errors and close codes".
const (
	CloseNormal   = 1000 // chat expired or idle
	CloseAway     = 1001 // server shutting down
	CloseProtocol = 1002 // RFC 6455 violated
	ClosePolicy   = 1008
	CloseTooBig   = 1009
	CloseTryLater = 1013
)

// Code identifies the reason of a refusal.
type Code string

// The codes of web/api/README.md, "Errors and close codes", and of its HTTP errors.
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
	NotFound     Code = "not_found"
	BadType      Code = "bad_type"
)

// Error is a refusal for clients: a code and one plain sentence.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// NewError makes an Error. Its message is for clients and must not reveal internals.
func NewError(code Code, message string) *Error { return &Error{code, message} }

// ErrUnavailable is the answer while the store is unavailable.
var ErrUnavailable = NewError(Unavailable, "The service is unavailable at the moment. Please try again.")

// Public returns the error that a client may see for err: an *Error in its chain, or else
// ErrUnavailable.
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

// Payload returns the Error message for e, with the messageID unless that is empty.
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

// AppendString appends a text as a JSON string, as Encode writes it. It panics if the text is
// not valid UTF-8, which is checked when it comes.
func AppendString(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			b, err := jsontext.AppendQuote(b, text)
			if err != nil {
				panic(err)
			}
			return b
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// lenient allows repeated names in an object, of which the last one wins.
var lenient = jsontext.AllowDuplicateNames(true)

// span is the position of a value in the decoded text.
type span struct{ from, to int64 }

func (s *span) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	s.to = d.InputOffset()
	s.from = s.to - int64(len(value))
	return err
}

func (s span) of(b []byte) jsontext.Value { return b[s.from:s.to] }

// Decode parses a client's frame, which must be valid UTF-8 and one JSON object with a type
// that is a non-empty string. args is a part of frame, checked only for syntax, and nil if
// it is missing or null.
func Decode(frame []byte) (kind string, args jsontext.Value, err *Error) {
	if kind, args, usual := decodeUsual(frame); usual {
		return kind, args, nil
	}
	return decodeAny(frame)
}

func decodeAny(frame []byte) (kind string, args jsontext.Value, err *Error) {
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

// maxUsual keeps decodeUsual from frames that may be nested as deeply as a decoder allows.
const maxUsual = 16 << 10

// decodeUsual is Decode for frames in the form that most clients write. It needs no struct for
// the envelope.
func decodeUsual(frame []byte) (kind string, args jsontext.Value, usual bool) {
	rest, found := bytes.CutPrefix(frame, []byte(`{"type":"`))
	if !found || len(frame) > maxUsual {
		return "", nil, false
	}
	n := 0
	for n < len(rest) && (rest[n]|0x20 >= 'a' && rest[n]|0x20 <= 'z') {
		n++
	}
	args, found = bytes.CutPrefix(rest[n:], []byte(`","args":`))
	last := len(args) - 1
	if !found || n == 0 || last < 2 || args[0] != '{' || args[last-1] != '}' || args[last] != '}' {
		return "", nil, false
	}
	args = args[:last]
	return string(rest[:n]), args, args.IsValid(lenient)
}

// MayBe reports whether a frame may be of a kind. It is a fast guess: only Decode knows, and it
// also knows names with escapes.
func MayBe(frame []byte, kind string) bool { return bytes.Contains(frame, []byte(kind)) }

// DecodeArgs decodes the args of a message into the struct that args points to. Missing and
// null fields keep their zero value, and unknown fields are ignored. A field of the wrong
// type is a BadRequest.
func DecodeArgs(from jsontext.Value, args any) *Error {
	if from == nil {
		return nil
	}
	err := json.Unmarshal(from, args, lenient)
	if err == nil {
		return nil
	}
	var own *Error // the error of a field that checks itself
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

// Missing returns the BadRequest for a required field that is missing or empty.
func Missing(field string) *Error {
	return NewError(BadRequest, `The field "`+field+`" is missing or empty.`)
}

// UnknownKind is the answer to a type that this server does not support.
var UnknownKind = NewError(UnknownType, "This server does not support this type of message.")

// IsPong reports whether a frame is the text form of the heartbeat's answer
// (web/api/README.md, "Common rules"). The JSON form has the type KindPong.
func IsPong(frame []byte) bool {
	return string(frame) == "pong:user" || string(frame) == "pong:support"
}

// KindPong is the JSON form of the heartbeat's answer.
const KindPong = "Pong"

// NewID returns 128 random bits as 32 lower-case hex digits.
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

// SameID compares ids in constant time, because anybody who knows a user's id can join their
// chat.
func SameID(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// ShortID returns the part of an id for logs: enough to find the chat in the store, but not
// enough for a Join.
func ShortID(id string) string { return id[:min(8, len(id))] }
