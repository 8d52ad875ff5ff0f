package web

import (
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
	config := cors.Config{AllowMethods: "GET,HEAD,OPTIONS", MaxAge: 3600}
	if slices.Contains(s.options.AllowedOrigins, "*") {
		config.AllowOrigins = "*"
	} else {
		config.AllowOriginsFunc = s.originAllowed
	}
	return config
}

// checkOrigin refuses every request of a page that may not use the server, and what
// its browser asks before one.
func (s *Server) checkOrigin(c *fiber.Ctx) error {
	if s.originAllowed(c.Get(fiber.HeaderOrigin)) {
		return c.Next()
	}
	s.refused(foreignOrigin)
	return wire.NewError(wire.Forbidden, "Pages of this origin may not use this server.")
}

// secureHeaders are for every answer. A page adds its own policy.
func secureHeaders(c *fiber.Ctx) error {
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	return c.Next()
}
