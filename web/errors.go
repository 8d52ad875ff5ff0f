package web

import (
	"errors"
	"strings"

	"livesupport/lobby/wire"

	"github.com/gofiber/fiber/v2"
)

// status maps error codes to HTTP statuses (web/api/README.md, "Common rules").
func status(code wire.Code) int {
	switch code {
	case wire.Unauthorized:
		return fiber.StatusUnauthorized
	case wire.Forbidden:
		return fiber.StatusForbidden
	case wire.Unavailable:
		return fiber.StatusServiceUnavailable
	case wire.TooLarge:
		return fiber.StatusRequestEntityTooLarge
	case wire.NotFound:
		return fiber.StatusNotFound
	case wire.ChatClosed, wire.ChatFull:
		return fiber.StatusConflict
	case wire.BadType:
		return fiber.StatusUnsupportedMediaType
	case wire.RateLimited:
		return fiber.StatusTooManyRequests
	}
	return fiber.StatusBadRequest
}

func notFound(*fiber.Ctx) error { return fiber.ErrNotFound }

// answerError sends the error of a route, or of Fiber itself, as JSON without internals.
func (s *Server) answerError(c *fiber.Ctx, err error) error {
	var public *wire.Error
	var http *fiber.Error
	switch {
	case errors.As(err, &public):
	case errors.As(err, &http):
		switch http.Code {
		case fiber.StatusRequestHeaderFieldsTooLarge:
			s.refused(headerBytes)
		case fiber.StatusRequestEntityTooLarge:
			s.refused(bodyBytes)
		}
		code := codeOf(http.Code)
		if http.Code == fiber.StatusRequestEntityTooLarge && takesBody(c) {
			code = string(wire.TooLarge)
		}
		return sendError(c, http.Code, code, sentenceOf(http.Code))
	default:
		s.options.Log.Warn("request failed", "path", c.Route().Path, "error", err)
		public = wire.ErrUnavailable
	}
	code := status(public.Code)
	switch public.Code {
	case wire.Unavailable:
		c.Set(fiber.HeaderRetryAfter, "1")
	case wire.Unauthorized:
		if c.Get(tokenHeader) != "" { // a 401 would make the browser forget its password for the proxy
			code = fiber.StatusForbidden
			break
		}
		c.Set(fiber.HeaderWWWAuthenticate, "Bearer")
	}
	return sendError(c, code, string(public.Code), public.Message)
}

func sendError(c *fiber.Ctx, status int, code, message string) error {
	type body struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Status(status).JSON(struct {
		Error body `json:"error"`
	}{body{code, message}})
}

// codeOf returns the code of an HTTP status, such as "not_found" for 404.
func codeOf(status int) string {
	return strings.ReplaceAll(strings.ToLower(fiber.NewError(status).Message), " ", "_")
}

func sentenceOf(status int) string {
	switch status {
	case fiber.StatusNotFound:
		return "Not found."
	case fiber.StatusUpgradeRequired:
		return "This is a WebSocket route. Send an upgrade request."
	case fiber.StatusMethodNotAllowed:
		return "This route does not accept this method."
	case fiber.StatusRequestHeaderFieldsTooLarge:
		return "The headers of this request are too large."
	case fiber.StatusRequestEntityTooLarge:
		return "The body of this request is too large."
	case fiber.StatusRequestedRangeNotSatisfiable:
		return "The requested range is outside the file."
	}
	return "The server cannot handle this request."
}
