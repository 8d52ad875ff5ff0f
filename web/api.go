package web

import (
	"errors"
	"net"
	"net/netip"
	"strings"

	"livesupport/lobby/settings"
	"livesupport/lobby/wire"

	"github.com/gofiber/fiber/v2"
)

// apiPath is the prefix of the lobby's HTTP routes for agents (web/api/README.md, "Archive
// routes").
const apiPath = "/api/v1"

// api makes the routes for agents.
func (s *Server) api() {
	group := s.app.Group(apiPath, s.checkAgent)
	group.Get("/replies", s.replies)
	s.serveArchive(group)
}

// isAPI reports whether a request is for one of the routes for agents, which have their
// own rules about origins.
func isAPI(c *fiber.Ctx) bool { return strings.HasPrefix(c.Path(), apiPath+"/") }

// isOwnPage reports whether a request does not come from a page of another origin. Such
// pages must not use the routes for agents, whatever ALLOWED_ORIGINS says.
func isOwnPage(c *fiber.Ctx) bool {
	origin, site := c.Get(fiber.HeaderOrigin), c.Get("Sec-Fetch-Site") // pages cannot set this header
	if origin == "" || site == "same-origin" {
		return site == "" || site == "same-origin" || site == "none"
	}
	_, host, found := strings.Cut(strings.ToLower(origin), "://")
	return found && (host == ownHost(string(c.Request().Host())) || host == ownHost(c.Hostname()))
}

var errNotLocal = wire.NewError(wire.Unauthorized, "This server has no agents' tokens configured. It accepts only requests from its own machine.")

// checkAgent admits agents with a token or, if agents need no tokens, anybody on the
// server's own machine as a supervisor. It keeps the agent's identity as agentLocal.
func (s *Server) checkAgent(c *fiber.Ctx) error {
	agent := &wire.Identity{Supervisor: true}
	var err error
	if s.options.Agents != nil {
		token := c.Get(tokenHeader)
		shown := token != ""
		if !shown {
			token, shown = bearer(c.Get(fiber.HeaderAuthorization), c.Get(fiber.HeaderSecWebSocketProtocol))
		}
		agent, err = s.verifyAgent(token, shown)
	} else if !isLocal(c) {
		s.refused(unauthorized)
		err = errNotLocal
	}
	if err != nil {
		return err
	}
	c.Locals(agentLocal, agent)
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Next()
}

// verifyAgent returns the identity in an agent's token.
func (s *Server) verifyAgent(token string, shown bool) (*wire.Identity, error) {
	agent, err := s.options.Agents.Verify(strings.Clone(token)) // Fiber reuses the header's memory
	switch {
	case errors.Is(err, errNoKeys):
		return nil, wire.ErrUnavailable
	case err != nil:
		if shown {
			s.refusedToken("an agent's", s.options.Agents.variable(), err)
		}
		s.refused(unauthorized)
		return nil, errUnauthorized
	}
	return agent, nil
}

// isLocal reports whether a request was really made on the server's own machine. It is not
// fooled by a proxy on that machine, which adds forwarding headers, nor by a web page whose
// host name resolves to this machine (DNS rebinding), which sends that name as Host.
func isLocal(c *fiber.Ctx) bool {
	peer, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	header := &c.Request().Header
	return peer.Unmap().IsLoopback() && isLoopbackName(string(c.Request().Host())) &&
		len(header.PeekAll(fiber.HeaderXForwardedFor)) == 0 && len(header.PeekAll(fiber.HeaderForwarded)) == 0
}

// isLoopbackName reports whether a host, with or without a port, names this machine.
func isLoopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// replies answers GET /api/v1/replies with the canned replies of the settings.
func (s *Server) replies(c *fiber.Ctx) error {
	replies := s.options.Settings.Current().Replies
	if replies == nil {
		replies = []settings.Reply{}
	}
	return c.JSON(struct {
		Replies []settings.Reply `json:"replies"`
	}{replies})
}
