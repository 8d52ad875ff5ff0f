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

// notices are what the log says of requests that are refused because of how things
// are set up, each seldom: anybody can send such requests, and any number of them.
type notices struct {
	origins seldom
	tokens  seldom             // by the variable to look at
	upgrade timerate.Sometimes // once a minute
	proxy   sync.Once
}

func newNotices() *notices {
	return &notices{upgrade: timerate.Sometimes{First: 1, Interval: seldomSpan}}
}

const (
	// seldomSpan is how long nothing is said again, seldomKeys how many different
	// things are said meanwhile.
	seldomSpan = time.Minute
	seldomKeys = 10
	// maxQuoted bounds what the log has of a client's own words.
	maxQuoted = 200
)

// seldom lets each of a few keys pass once in a while. It may be used concurrently.
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

// quoted is a copy of a client's own words, not too long.
func quoted(text string) string { return strings.Clone(text[:min(len(text), maxQuoted)]) }

// refusedOrigin says which page was refused, and where that is decided.
func (s *Server) refusedOrigin(origin string) {
	if origin = quoted(origin); s.notices.origins.passes(origin, time.Now()) {
		s.options.Log.Warn("a page was refused: ALLOWED_ORIGINS does not have its origin", "origin", origin)
	}
}

// refusedToken says why a token was refused, the first one of its kind at warn: one
// that ran out is a client's matter, a wrong secret concerns all.
func (s *Server) refusedToken(whose, secret string, err error) {
	variable := secret
	switch {
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		variable = "" // the token's own times
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

// lostUpgrade tells a handshake whose Upgrade was lost on the way, as by a proxy that
// takes hop-by-hop headers off, from a request that is none.
func (s *Server) lostUpgrade(c *fiber.Ctx) {
	if websocket.IsWebSocketUpgrade(c) || c.Get(fiber.HeaderSecWebSocketKey) == "" && c.Get(fiber.HeaderSecWebSocketVersion) == "" {
		return
	}
	s.notices.upgrade.Do(func() {
		s.options.Log.Warn("a WebSocket handshake came without Upgrade: the proxy in front must pass on the headers Upgrade and Connection",
			"proxy", c.Context().RemoteIP().String())
	})
}

// unknownProxy says once that a limit per address counts a proxy's visitors as one.
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
