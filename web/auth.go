package web

import (
	"errors"
	"slices"
	"strings"
	"time"

	"livesupport/lobby/wire"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// subprotocol is the subprotocol that the server selects. Browsers, which cannot set
	// an Authorization header on a WebSocket, offer it together with their token.
	subprotocol  = "livesupport"
	bearerPrefix = "bearer."
	// tokenHeader carries a token if a proxy in front may use the Authorization header for
	// a password of its own.
	tokenHeader = "Livesupport-Token"
	// clockSkew is how far the clock of the tokens' issuer may be off.
	clockSkew = 5 * time.Second
	// maxSubject is the maximum length of a token's sub, in bytes.
	maxSubject = 256
)

// Verifier checks tokens (JWT, RFC 7519) that identify agents or visitors. It is safe for
// concurrent use.
type Verifier struct {
	parser *jwt.Parser
	key    jwt.Keyfunc
	keys   *keySet // nil with a secret
}

// MinSecret is the minimum length of a secret for tokens, in bytes. A secret shorter than
// the hash's output can be guessed from a token.
const MinSecret = 32

// NewSecretVerifier makes a Verifier for tokens that were signed with a secret (HS256). It
// requires the audience and the issuer unless they are empty.
func NewSecretVerifier(secret, audience, issuer string) *Verifier {
	return &Verifier{
		parser: newParser([]string{jwt.SigningMethodHS256.Alg()}, audience, issuer),
		key:    func(*jwt.Token) (any, error) { return []byte(secret), nil },
	}
}

// newParser makes the parser that checks a token except for its identity. The server
// chooses the algorithms, never the token.
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

// variable returns the variable that says how agents' tokens must be signed.
func (v *Verifier) variable() string {
	if v.keys != nil {
		return "AGENT_JWKS_URL"
	}
	return "AGENT_SECRET"
}

// Close ends the Verifier's work in the background.
func (v *Verifier) Close() error {
	if v.keys != nil {
		v.keys.close()
	}
	return nil
}

// supervisor is the role of an agent who may watch chats and step in (web/api/README.md,
// "Observers").
const supervisor = "supervisor"

// claims are the claims of a token that the servers use.
type claims struct {
	Name string `json:"name,omitempty"`
	// Other issuers may put anything into these.
	Role  any `json:"role,omitempty"`
	Teams any `json:"teams,omitempty"`
	jwt.RegisteredClaims
}

// Verify returns the identity in a token. Its error says what is wrong with the token, in
// the library's words, and is meant for logs.
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
		Subject: c.Subject, Name: name, Supervisor: c.Role == supervisor, Teams: teamsOf(c.Teams), Expires: c.ExpiresAt.Add(clockSkew),
	}, nil
}

// teamsOf returns the team names in a claim. It ignores anything else in it.
func teamsOf(claim any) (teams []string) {
	list, _ := claim.([]any)
	for _, one := range list {
		if team, ok := one.(string); ok && team != "" && !slices.Contains(teams, team) {
			teams = append(teams, team)
		}
	}
	return teams
}

// Token has the claims of a token to make. Empty ones are left out.
type Token struct {
	Subject, Name    string
	Role             string // supervisor or empty
	Teams            []string
	Audience, Issuer string
}

// Sign makes a token for NewSecretVerifier, valid from now for ttl.
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
	if len(t.Teams) > 0 {
		c.Teams = t.Teams
	}
	if t.Audience != "" {
		c.Audience = jwt.ClaimStrings{t.Audience}
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
}

// bearer returns the token of a request, from its Authorization header or else from the
// WebSocket subprotocols that it offers. shown is also true for an empty token. bearer
// looks nowhere else, and never in the URL, which ends up in logs.
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

// visitorOf returns the identity in a registration's token, nil without a token or if
// visitors' tokens are ignored.
func (s *Server) visitorOf(c *fiber.Ctx) (*wire.Identity, error) {
	token := c.Get(tokenHeader)
	shown := token != ""
	if shown {
		c.Vary(tokenHeader) // tells the page that this server reads the header
	} else {
		token, shown = bearer(c.Get(fiber.HeaderAuthorization), "")
	}
	if s.options.Visitors == nil || !shown {
		return nil, nil
	}
	visitor, err := s.options.Visitors.Verify(strings.Clone(token)) // Fiber reuses the header's memory
	if err != nil {
		s.refusedToken("a visitor's", "VISITOR_SECRET", err)
		s.refused(unauthorized)
		return nil, errVisitor
	}
	return visitor, nil
}

var errUnauthorized = wire.NewError(wire.Unauthorized, "Send a valid agent's token as a bearer token.")

// errExpired is sent to a client before its socket is closed.
var errExpired = wire.NewError(wire.Unauthorized, "Your token has expired. Reconnect with a new one.")

// agentLocal is the key of the identity of a request's agent, kept for the upgrade.
const agentLocal = "agent"

// authenticate checks the token of a request for a socket, if this server uses tokens. It
// refuses an invalid token in any case; demanded says whether a token is required.
func (s *Server) authenticate(c *fiber.Ctx, demanded bool) error {
	if s.options.Agents == nil {
		return nil
	}
	token, shown := bearer(c.Get(fiber.HeaderAuthorization), c.Get(fiber.HeaderSecWebSocketProtocol))
	if !shown && !demanded {
		return nil
	}
	agent, err := s.verifyAgent(token, shown)
	if err != nil {
		return err
	}
	c.Locals(agentLocal, agent)
	return nil
}

// checkToken tells a page whether an agent's token is valid, because browsers do not tell
// pages why a WebSocket was refused. It answers with 200 in either case, because a browser
// that gets a 401 forgets the password for a proxy in front. For the same reason it does
// not read the token from the Authorization header.
func (s *Server) checkToken(c *fiber.Ctx) error {
	if s.options.Agents == nil {
		return fiber.ErrNotFound
	}
	_, err := s.options.Agents.Verify(strings.Clone(c.Get(tokenHeader))) // Fiber reuses the header's memory
	if errors.Is(err, errNoKeys) {
		return wire.ErrUnavailable
	}
	if err != nil {
		s.options.Log.Debug("a token that a page asked about is invalid", "error", err)
		s.refused(unauthorized)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.JSON(fiber.Map{"good": err == nil})
}

// agentOf returns the identity in the token of the upgraded request, nil without a token.
func agentOf(c *websocket.Conn) *wire.Identity {
	agent, _ := c.Locals(agentLocal).(*wire.Identity)
	return agent
}
