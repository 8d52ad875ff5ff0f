package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"strings"
)

// Options has the options for the connections and requests of a Chat or Lobby. The zero value is
// ready to use if agents need no tokens.
type Options struct {
	// Token returns the agent's token, or "". It is called before each attempt to connect,
	// so that a new token can replace one that was refused. nil means no token.
	Token func() string
	// Dial opens the TCP connection; nil means a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the configuration for wss. It may be nil.
	TLS *tls.Config
	// HTTP makes requests such as Register; nil means http.DefaultClient.
	HTTP *http.Client
}

func (o Options) token() string {
	if o.Token == nil {
		return ""
	}
	return o.Token()
}

func (o Options) http() *http.Client {
	if o.HTTP == nil {
		return http.DefaultClient
	}
	return o.HTTP
}

// Refusal is the error of a refused request. Code is a code of the protocol, such as chat_closed, or
// one of those below.
type Refusal struct {
	Code    string
	Message string // one sentence in English, or ""
}

func (r *Refusal) Error() string {
	if r.Message == "" {
		return r.Code
	}
	return r.Code + ": " + r.Message
}

// Codes of this package.
const (
	Closed      = "closed"      // by Close or the end of the context
	Expired     = "expired"     // the chat has expired
	Released    = "released"    // this agent no longer has the chat
	Unreachable = "unreachable" // the server does not answer
)

// CodeOf returns the code of the Refusal in err's chain, or "".
func CodeOf(err error) string {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

// ErrBehind is the error of calls while too many events wait to be read, or too many messages or
// requests wait to be sent.
var ErrBehind = errors.New("client: too many events, messages or requests are waiting: read Events")

// Roles in a chat. An Observer watches from the agent's side.
const (
	User     = "User"
	Support  = "Support"
	Observer = "Observer"
)

func address(base, path string) string { return strings.TrimRight(base, "/") + path }

// newID returns a new messageId.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
