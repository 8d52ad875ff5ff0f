package web

import (
	"livesupport/web/api"

	"github.com/gofiber/fiber/v2"
)

// serveReference serves the API documents of both ports and the page that shows them.
func (s *Server) serveReference(page *file) {
	s.app.Get("/api", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderXFrameOptions, "DENY")
		c.Set(fiber.HeaderContentSecurityPolicy, referencePolicy)
		return page.send(c, revisit)
	})
	for name, document := range map[string]*file{
		"asyncapi.json":        newFile(".json", api.AsyncAPI()),
		"openapi.json":         newFile(".json", api.OpenAPI()),
		"settings.schema.json": newFile(".schema.json", api.Settings()),
	} {
		s.app.Get("/"+name, func(c *fiber.Ctx) error { return document.send(c, revisit) })
	}
}

// referencePolicy lets the page load its own files and the documents.
const referencePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'" +
	"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
