package web

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/golang-jwt/jwt/v5"
	timerate "golang.org/x/time/rate"
)

// notices logs requests that were refused because of the configuration. It logs each kind
// only once in a while, because anybody can send any number of such requests.
type notices struct {
	origins seldom
	tokens  seldom             // by the variable that may be wrong
	upgrade timerate.Sometimes // once a minute
	proxy   sync.Once
}

func newNotices() *notices {
	return &notices{upgrade: timerate.Sometimes{First: 1, Interval: seldomSpan}}
}

const (
	// seldomSpan is the time before a key passes again, seldomKeys how many different keys
	// pass in that time.
	seldomSpan = time.Minute
	seldomKeys = 10
	// maxQuoted bounds how much of a client's text is logged.
	maxQuoted = 200
)

// seldom lets each of a few keys pass once in a while. It is safe for concurrent use.
type seldom struct {
	mu    sync.Mutex
	since time.Time
	keys  map[string]bool
}

func (s *seldom) passes(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.since) >= seldomSpan {
		s.since, s.keys = now, map[string]bool{}
	}
	if s.keys[key] || len(s.keys) == seldomKeys {
		return false
	}
	s.keys[key] = true
	return true
}

// quoted returns a copy of a client's text, cut to maxQuoted.
func quoted(text string) string { return strings.Clone(text[:min(len(text), maxQuoted)]) }

// refusedOrigin logs which page was refused, and the variable that decides it.
func (s *Server) refusedOrigin(origin string) {
	if origin = quoted(origin); s.notices.origins.passes(origin, time.Now()) {
		s.options.Log.Warn("refused a page: its origin is not in ALLOWED_ORIGINS", "origin", origin)
	}
}

// refusedToken logs why a token was refused, the first of its kind as a warning. An expired
// token concerns only one client, but a wrong secret concerns all.
func (s *Server) refusedToken(whose, secret string, err error) {
	variable := secret
	switch {
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		variable = "" // the token has expired or is not valid yet
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		variable = "AGENT_AUDIENCE"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		variable = "AGENT_ISSUER"
	}
	log := s.options.Log.Debug
	if s.notices.tokens.passes(variable, time.Now()) {
		log = s.options.Log.Warn
	}
	details := []any{"reason", quoted(err.Error())}
	if variable != "" {
		details = append(details, "variable", variable)
	}
	log(whose+" token was refused", details...)
}

// lostUpgrade logs a WebSocket handshake whose Upgrade header was lost on the way, for
// instance at a proxy that removes hop-by-hop headers.
func (s *Server) lostUpgrade(c *fiber.Ctx) {
	if websocket.IsWebSocketUpgrade(c) || c.Get(fiber.HeaderSecWebSocketKey) == "" && c.Get(fiber.HeaderSecWebSocketVersion) == "" {
		return
	}
	s.notices.upgrade.Do(func() {
		s.options.Log.Warn("a WebSocket handshake arrived without the header Upgrade: the proxy in front must pass on the headers Upgrade and Connection",
			"proxy", c.Context().RemoteIP().String())
	})
}

// unknownProxy logs once that the limits per address count all clients of a proxy as one.
func (s *Server) unknownProxy(c *fiber.Ctx) {
	if s.options.RegisterRate == 0 && s.options.SocketsPerAddress == 0 ||
		c.Get(fiber.HeaderXForwardedFor) == "" && c.Get(fiber.HeaderForwarded) == "" {
		return
	}
	s.notices.proxy.Do(func() {
		s.options.Log.Warn("a request came through a proxy that TRUSTED_PROXIES does not name: REGISTER_RATE and SOCKETS_PER_ADDRESS count all its clients as one address",
			"proxy", c.Context().RemoteIP().String())
	})
}
