package web

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"livesupport/chat"
	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"
)

// Bounds of what a visitor may register with (PROTOCOL.md, "Registration with
// more"): bytes of the body, and characters.
const (
	maxRegistration = 8 << 10
	maxTeam         = 64
	maxAddress      = 2048 // of page and referrer
	maxLanguage     = 35
	maxFields       = 20
	maxFieldKey     = 64
	maxFieldValue   = 1000
)

// register answers GET /user/join/{userName}, and POST once it is known what the
// visitor registers with.
func (s *Server) register(c *fiber.Ctx, service *chat.Service, with chat.Registration) error {
	raw := c.Params("*")
	if strings.Contains(raw, "/") {
		return fiber.ErrNotFound
	}
	visitor, err := s.visitorOf(c)
	if err != nil {
		return err
	}
	name, err := url.PathUnescape(raw) // a copy
	name, ok := wire.Name(strings.Clone(name))
	if visitor != nil && raw == "" {
		name, ok = visitor.Name, true
	}
	switch {
	case err != nil || !ok:
		return wire.NewError(wire.BadUsername, "A name has "+wire.NameWanted+".")
	case visitor != nil && name != visitor.Name:
		return errOtherName
	}
	if ok, after := s.registrations.allow(s.clientAddress(c), time.Now()); !ok {
		s.refused(registerRate)
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(after/time.Second)+1))
		return wire.NewError(wire.RateLimited, "Too many registrations come from your network. Try again later.")
	}
	// Not the request's own context: fasthttp's is no more than the server's, and
	// reading it races with the server's shutdown.
	ctx, cancel := context.WithTimeout(context.Background(), registerTimeout)
	defer cancel()
	with.Name, with.Verified = name, visitor != nil
	user, err := service.Register(ctx, with)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.JSON(struct {
		UserID   string `json:"userId"`
		Username string `json:"username"`
		ChatID   string `json:"chatId"`
	}{user.UserID, user.Username, user.ChatID})
}

// takesBody reports whether a request may have a body over BodyBytes: its route looks
// at the size itself.
func takesBody(c *fiber.Ctx) bool {
	return c.Method() == fiber.MethodPost && strings.HasPrefix(c.Path(), "/user/join/")
}

// checkBody refuses what is too large for a route that wants no body. Fiber knows one
// limit for all.
func (s *Server) checkBody(c *fiber.Ctx) error {
	if len(c.Body()) > s.options.BodyBytes && !takesBody(c) {
		return fiber.ErrRequestEntityTooLarge
	}
	return c.Next()
}

// registration is the body of a POST. null is as absent.
type registration struct {
	Team    *string  `json:"team"`
	Details *details `json:"details"`
}

// details is what agents see of where a visitor comes from. What is empty is not
// kept.
type details struct {
	Page     string             `json:"page,omitzero"`
	Referrer string             `json:"referrer,omitzero"`
	Language string             `json:"language,omitzero"`
	Fields   map[string]*string `json:"fields,omitempty"`
}

// registerWith answers POST /user/join/{userName}.
func (s *Server) registerWith(c *fiber.Ctx, service *chat.Service) error {
	switch {
	case len(c.Body()) > maxRegistration:
		return fiber.ErrRequestEntityTooLarge
	case len(c.Body()) == 0 && c.Get(fiber.HeaderContentType) == "":
		// A form's or a probe's, who expects nothing of it: as before there was POST.
		c.Set(fiber.HeaderAllow, fiber.MethodGet)
		return fiber.ErrMethodNotAllowed
	}
	with, err := parseRegistration(c.Body())
	if err != nil {
		return err
	}
	return s.register(c, service, with)
}

// parseRegistration checks a body and returns what to keep of it.
func parseRegistration(body []byte) (chat.Registration, error) {
	var with chat.Registration
	var r registration
	if text := jsontext.Value(body); text.Kind() != '{' || !text.IsValid() {
		return with, wire.NewError(wire.BadRequest, "The body must be a JSON object.")
	}
	if err := wire.DecodeArgs(body, &r); err != nil {
		return with, err
	}
	if r.Team != nil {
		if *r.Team == "" || !within(*r.Team, maxTeam) {
			return with, tooLong("team", "1 to 64 characters")
		}
		with.Team = *r.Team
	}
	if r.Details == nil {
		return with, nil
	}
	d := r.Details
	switch {
	case !within(d.Page, maxAddress):
		return with, tooLong("details.page", "at most 2,048 characters")
	case !within(d.Referrer, maxAddress):
		return with, tooLong("details.referrer", "at most 2,048 characters")
	case !within(d.Language, maxLanguage):
		return with, tooLong("details.language", "at most 35 characters")
	case len(d.Fields) > maxFields:
		return with, tooLong("details.fields", "at most 20 entries")
	}
	for key, value := range d.Fields {
		switch {
		case !within(key, maxFieldKey):
			return with, tooLong("details.fields", "keys of at most 64 characters")
		case value == nil:
			delete(d.Fields, key)
		case !within(*value, maxFieldValue):
			return with, tooLong("details.fields", "values of at most 1,000 characters")
		}
	}
	kept, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return with, err
	}
	if string(kept) != "{}" {
		with.Details = string(kept)
	}
	return with, nil
}

func within(s string, characters int) bool { return utf8.RuneCountInString(s) <= characters }

func tooLong(field, want string) error {
	return wire.NewError(wire.BadRequest, `The field "`+field+`" must have `+want+`.`)
}
