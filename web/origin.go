package web

import (
	"net/url"
	"slices"
	"strings"

	"livesupport/lobby/wire"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/cors"
)

// originAllowed reports whether a page of this origin may use the server.
func (s *Server) originAllowed(origin string) bool {
	if origin == "" {
		return true
	}
	origin = strings.ToLower(origin)
	return slices.ContainsFunc(s.options.AllowedOrigins, func(allowed string) bool {
		scheme, domain, wildcard := strings.Cut(allowed, "://*.")
		if !wildcard {
			return allowed == "*" || allowed == origin
		}
		// A browser's origin has no user in it that could hold a foreign host.
		host, found := strings.CutPrefix(origin, scheme+"://")
		below, ok := strings.CutSuffix(host, "."+domain)
		return found && ok && below != "" && !strings.ContainsAny(below, "/@:?#")
	})
}

// corsConfig lets the pages of allowed origins read answers. No cookies are used,
// so credentials are not allowed.
func (s *Server) corsConfig() cors.Config {
	config := cors.Config{AllowMethods: "GET,HEAD,OPTIONS,POST", MaxAge: 3600}
	if slices.Contains(s.options.AllowedOrigins, "*") {
		config.AllowOrigins = "*"
	} else {
		config.AllowOriginsFunc = s.originAllowed
	}
	return config
}

// share says in every answer for whom it may be kept: caches give a file that one site
// has loaded to all others.
func (s *Server) share(c *fiber.Ctx) error {
	switch {
	case !slices.Contains(s.options.AllowedOrigins, "*"):
		c.Vary(fiber.HeaderOrigin)
	case isStatic(c.Path()):
		c.Set(fiber.HeaderAccessControlAllowOrigin, "*")
	}
	return c.Next()
}

// isOwn reports whether a page is one of this server's: it must not be locked out of its
// own files. A proxy may have changed the host, and taken TLS away.
func (s *Server) isOwn(c *fiber.Ctx, origin string) bool {
	if c.Get("Sec-Fetch-Site") == "same-origin" { // no page can make that up
		return true
	}
	_, host, found := strings.Cut(strings.ToLower(origin), "://")
	public, err := url.Parse(s.options.Site.ChatURL)
	return found && (host == ownHost(string(c.Request().Host())) || host == ownHost(c.Hostname()) || err == nil && host == public.Host)
}

// ownHost is a request's host as an origin has it, without the schemes' own ports.
func ownHost(host string) string {
	host = strings.ToLower(host)
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}

// checkOrigin refuses every request of a page that may not use the server, and what
// its browser asks before one.
func (s *Server) checkOrigin(c *fiber.Ctx) error {
	origin := c.Get(fiber.HeaderOrigin)
	if s.originAllowed(origin) || isStatic(c.Path()) && s.isOwn(c, origin) {
		return c.Next()
	}
	s.refused(foreignOrigin)
	s.refusedOrigin(origin)
	return wire.NewError(wire.Forbidden, "This server does not serve pages of this origin.")
}

// secureHeaders are for every answer. A page adds its own policy.
func secureHeaders(c *fiber.Ctx) error {
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	return c.Next()
}
