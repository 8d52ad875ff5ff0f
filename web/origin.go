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
		// The origin from a browser has no user part, which could hide another host.
		host, found := strings.CutPrefix(origin, scheme+"://")
		below, ok := strings.CutSuffix(host, "."+domain)
		return found && ok && below != "" && !strings.ContainsAny(below, "/@:?#")
	})
}

// corsConfig lets pages of allowed origins read responses. It does not allow credentials,
// because the servers use no cookies.
func (s *Server) corsConfig() cors.Config {
	config := cors.Config{Next: isAPI, AllowMethods: "GET,HEAD,OPTIONS,POST", MaxAge: 3600}
	if slices.Contains(s.options.AllowedOrigins, "*") {
		config.AllowOrigins = "*"
	} else {
		config.AllowOriginsFunc = s.originAllowed
	}
	return config
}

// share marks every response with the origins that may share it, because caches pass a
// file that one site has loaded on to other sites.
func (s *Server) share(c *fiber.Ctx) error {
	switch {
	case !slices.Contains(s.options.AllowedOrigins, "*"):
		c.Vary(fiber.HeaderOrigin)
	case isStatic(c.Path()):
		c.Set(fiber.HeaderAccessControlAllowOrigin, "*")
	}
	return c.Next()
}

// isOwn reports whether a page is one of this server's, which must be able to load its own
// files. A proxy may have changed the host and terminated TLS.
func (s *Server) isOwn(c *fiber.Ctx, origin string) bool {
	if c.Get("Sec-Fetch-Site") == "same-origin" { // pages cannot set this header
		return true
	}
	_, host, found := strings.Cut(strings.ToLower(origin), "://")
	public, err := url.Parse(s.options.Site.ChatURL)
	return found && (host == ownHost(string(c.Request().Host())) || host == ownHost(c.Hostname()) || err == nil && host == public.Host)
}

// ownHost returns a request's host as it appears in an origin, without default ports.
func ownHost(host string) string {
	host = strings.ToLower(host)
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}

// checkOrigin refuses every request of a page that may not use the server, including
// preflights.
func (s *Server) checkOrigin(c *fiber.Ctx) error {
	origin := c.Get(fiber.HeaderOrigin)
	switch {
	case isAPI(c) && isOwnPage(c):
		return c.Next()
	case isAPI(c):
		s.refused(foreignOrigin)
		return wire.NewError(wire.Forbidden, "Only this server's own pages may use this route.")
	case s.originAllowed(origin) || isStatic(c.Path()) && s.isOwn(c, origin):
		return c.Next()
	}
	s.refused(foreignOrigin)
	s.refusedOrigin(origin)
	return wire.NewError(wire.Forbidden, "Pages of this origin are not allowed to use this server.")
}

// secureHeaders sets the headers of every response. A page adds its own policy.
func secureHeaders(c *fiber.Ctx) error {
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	return c.Next()
}
