package web

import (
	"errors"
	"strings"
	"time"

	"livesupport/lobby/wire"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// subprotocol is what the server selects of the subprotocols that a client
	// offers: browsers, which cannot set an Authorization, offer it together with
	// their token.
	subprotocol  = "livesupport"
	bearerPrefix = "bearer."
	// tokenHeader has a token where a proxy in front may have asked for a password:
	// the Authorization is that one's then, and is the browser's.
	tokenHeader = "Livesupport-Token"
	// clockSkew is how far the clock of who makes tokens may be off.
	clockSkew = 5 * time.Second
	// maxSubject bounds who a token may say somebody is, in bytes.
	maxSubject = 256
)

// Verifier checks the tokens (JWT, RFC 7519) that say who somebody is. Its
// methods may be called concurrently.
type Verifier struct {
	parser *jwt.Parser
	key    jwt.Keyfunc
	keys   *keySet // nil with a secret
}

// MinSecret is the least length of a secret for tokens, in bytes: a shorter one
// than the hash's output can be guessed from a token.
const MinSecret = 32

// NewSecretVerifier checks tokens that were signed with a secret (HS256). An
// audience and an issuer are demanded unless they are empty.
func NewSecretVerifier(secret, audience, issuer string) *Verifier {
	return &Verifier{
		parser: newParser([]string{jwt.SigningMethodHS256.Alg()}, audience, issuer),
		key:    func(*jwt.Token) (any, error) { return []byte(secret), nil },
	}
}

// newParser makes what checks everything of a token but who it is about. The
// algorithms are the server's choice, never the token's.
func newParser(algorithms []string, audience, issuer string) *jwt.Parser {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(clockSkew),
		jwt.WithStrictDecoding(),
	}
	if audience != "" {
		options = append(options, jwt.WithAudience(audience))
	}
	if issuer != "" {
		options = append(options, jwt.WithIssuer(issuer))
	}
	return jwt.NewParser(options...)
}

// variable is what says how agents' tokens must be signed.
func (v *Verifier) variable() string {
	if v.keys != nil {
		return "AGENT_JWKS_URL"
	}
	return "AGENT_SECRET"
}

// Close ends what a Verifier does in the background.
func (v *Verifier) Close() error {
	if v.keys != nil {
		v.keys.close()
	}
	return nil
}

// supervisor is the role that lets an agent look on and step in (PROTOCOL.md,
// "Observers").
const supervisor = "supervisor"

// claims is what is used of a token.
type claims struct {
	Name string `json:"name,omitempty"`
	Role any    `json:"role,omitempty"` // others' tokens may hold anything here
	jwt.RegisteredClaims
}

// Verify returns who a token is about. The error says what is wrong with it, in
// the library's words: it is for logs.
func (v *Verifier) Verify(token string) (*wire.Identity, error) {
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, v.key); err != nil {
		return nil, err
	}
	if c.Subject == "" || len(c.Subject) > maxSubject {
		return nil, errors.New("the token has no sub, or its sub is too long")
	}
	name := c.Name
	if name == "" {
		name = c.Subject
	}
	name, ok := wire.Name(name)
	if !ok {
		return nil, errors.New("the token has no name that can be shown")
	}
	return &wire.Identity{
		Subject: c.Subject, Name: name, Supervisor: c.Role == supervisor, Expires: c.ExpiresAt.Add(clockSkew),
	}, nil
}

// Token is what a token says. Empty values are left out.
type Token struct {
	Subject, Name    string
	Role             string // supervisor, or nothing
	Audience, Issuer string
}

// Sign makes a token that NewSecretVerifier takes, valid from now for ttl.
func (t Token) Sign(secret string, ttl time.Duration) (string, error) {
	now := time.Now()
	c := claims{Name: t.Name, RegisteredClaims: jwt.RegisteredClaims{
		Subject:   t.Subject,
		Issuer:    t.Issuer,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}}
	if t.Role != "" {
		c.Role = t.Role
	}
	if t.Audience != "" {
		c.Audience = jwt.ClaimStrings{t.Audience}
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
}

// SignToken makes the token of somebody without a role.
func SignToken(secret, subject, name, audience, issuer string, ttl time.Duration) (string, error) {
	return Token{Subject: subject, Name: name, Audience: audience, Issuer: issuer}.Sign(secret, ttl)
}

// bearer finds the token that a request shows: in its Authorization, or else
// among the WebSocket subprotocols that it offers. shown reports a token that is
// there and empty, too. Nothing else is looked at, least of all the URL, which
// ends up in logs.
func bearer(authorization, protocols string) (token string, shown bool) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(authorization), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(rest), true
	}
	for protocol := range strings.SplitSeq(protocols, ",") {
		if token, ok := strings.CutPrefix(strings.TrimSpace(protocol), bearerPrefix); ok {
			return token, true
		}
	}
	return "", false
}

var errVisitor = wire.NewError(wire.Unauthorized, "The visitor's token is invalid or has expired. Get a new one, or send none.")

var errOtherName = wire.NewError(wire.Forbidden, "The name in the path is not the one in your token. You can leave it out.")

// visitorOf is who a registration's token says the visitor is: nil without a token,
// and where tokens of visitors do not count.
func (s *Server) visitorOf(c *fiber.Ctx) (*wire.Identity, error) {
	token := c.Get(tokenHeader)
	shown := token != ""
	if shown {
		c.Vary(tokenHeader) // tells the page that this server looks at it
	} else {
		token, shown = bearer(c.Get(fiber.HeaderAuthorization), "")
	}
	if s.options.Visitors == nil || !shown {
		return nil, nil
	}
	visitor, err := s.options.Visitors.Verify(strings.Clone(token)) // Fiber uses the header's memory again
	if err != nil {
		s.refusedToken("a visitor's", "VISITOR_SECRET", err)
		s.refused(unauthorized)
		return nil, errVisitor
	}
	return visitor, nil
}

var errUnauthorized = wire.NewError(wire.Unauthorized, "Send an agent's token that is valid and has not expired, as a bearer token.")

// errExpired is told to a socket before it is closed.
var errExpired = wire.NewError(wire.Unauthorized, "Your token has expired. Reconnect with a new one.")

// agentLocal is where the identity of a request's agent is kept for the upgrade.
const agentLocal = "agent"

// authenticate looks at the token of a request for a socket, if tokens count
// here. One that is not good is refused wherever it is shown; demanded says
// whether there must be one.
func (s *Server) authenticate(c *fiber.Ctx, demanded bool) error {
	agents := s.options.Agents
	if agents == nil {
		return nil
	}
	token, shown := bearer(c.Get(fiber.HeaderAuthorization), c.Get(fiber.HeaderSecWebSocketProtocol))
	if !shown && !demanded {
		return nil
	}
	agent, err := agents.Verify(strings.Clone(token)) // Fiber uses the header's memory again
	if errors.Is(err, errNoKeys) {
		return wire.ErrUnavailable
	}
	if err != nil {
		if shown {
			s.refusedToken("an agent's", agents.variable(), err)
		}
		s.refused(unauthorized)
		return errUnauthorized
	}
	c.Locals(agentLocal, agent)
	return nil
}

// checkToken tells a page whether an agent's token is good. Browsers do not tell why
// a WebSocket is refused, and one that gets a 401 forgets the password that a proxy
// in front has asked for: so it is not said by the status, and not asked by the
// Authorization, which is the browser's.
func (s *Server) checkToken(c *fiber.Ctx) error {
	if s.options.Agents == nil {
		return fiber.ErrNotFound
	}
	_, err := s.options.Agents.Verify(strings.Clone(c.Get(tokenHeader))) // Fiber uses the header's memory again
	if errors.Is(err, errNoKeys) {
		return wire.ErrUnavailable
	}
	if err != nil {
		s.options.Log.Debug("a token that was asked about is not good", "error", err)
		s.refused(unauthorized)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.JSON(fiber.Map{"good": err == nil})
}

// agentOf is whose token came with the request that was upgraded, nil for none.
func agentOf(c *websocket.Conn) *wire.Identity {
	agent, _ := c.Locals(agentLocal).(*wire.Identity)
	return agent
}
