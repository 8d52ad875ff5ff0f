package web

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode"

	"livesupport/chat/archive"
	"livesupport/lobby/settings"
	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"
)

// leavePath is the route for leaving a message while no agent is available.
const leavePath = "/messages"

// Bounds of a left message (web/api/README.md, "Left messages"): bytes of the body, and
// characters.
const (
	maxLeft        = 16 << 10
	maxLeftContent = 8000
	maxLeftEmail   = 320
)

// leaving is the body of a POST. null means the same as leaving a field out.
type leaving struct {
	Name    string   `json:"name"`
	Email   string   `json:"email"`
	Content string   `json:"content"`
	Team    *string  `json:"team"`
	Details *details `json:"details"`
}

// leaveMessage answers POST /messages.
func (s *Server) leaveMessage(c *fiber.Ctx) error {
	return s.archived(func(ctx context.Context, c *fiber.Ctx) error {
		if len(c.Body()) > maxLeft {
			return fiber.ErrRequestEntityTooLarge
		}
		visitor, err := s.visitorOf(c)
		if err != nil {
			return err
		}
		m, err := parseLeaving(c.Body(), s.options.Settings.Current())
		if err != nil {
			return err
		}
		if ok, after := s.registrations.allow(s.clientAddress(c), time.Now()); !ok {
			s.refused(registerRate)
			c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(after/time.Second)+1))
			return wire.NewError(wire.RateLimited, "Too many messages come from your network. Try again later.")
		}
		if visitor != nil {
			m.Sub = visitor.Subject
		}
		m.MessageID = wire.NewID()
		if err := s.options.Archive.Leave(ctx, m); err != nil {
			return err
		}
		c.Set(fiber.HeaderCacheControl, "no-store")
		c.Status(fiber.StatusAccepted)
		return sendJSON(c, struct {
			MessageID string `json:"messageId"`
		}{m.MessageID})
	})(c)
}

// parseLeaving checks a body and returns the message to keep.
func parseLeaving(body []byte, set *settings.Settings) (archive.Message, error) {
	var m archive.Message
	var l leaving
	if text := jsontext.Value(body); text.Kind() != '{' || !text.IsValid() {
		return m, wire.NewError(wire.BadRequest, "The body must be a JSON object.")
	}
	if err := wire.DecodeArgs(body, &l); err != nil {
		return m, err
	}
	name, nameOK := wire.Name(l.Name)
	l.Email = strings.TrimSpace(l.Email)
	given := strings.TrimSpace(l.Name) != ""
	switch {
	case l.Content == "":
		return m, wire.Missing("content")
	case !within(l.Content, maxLeftContent):
		return m, tooLong("content", "1 to 8,000 characters")
	case given && !nameOK:
		return m, tooLong("name", wire.NameWanted)
	case !within(l.Email, maxLeftEmail) || strings.ContainsFunc(l.Email, unicode.IsControl):
		return m, tooLong("email", "at most 320 characters, none of them a control character")
	case !given && l.Email == "":
		return m, wire.NewError(wire.BadRequest, `At least one of the fields "name" and "email" must not be empty.`)
	}
	if err := checkTeam(l.Team, set); err != nil {
		return m, err
	}
	if !given {
		name = ""
	}
	m.Name, m.Email, m.Content, m.Team = name, l.Email, l.Content, l.Team
	if l.Details == nil {
		return m, nil
	}
	if err := l.Details.check(); err != nil {
		return m, err
	}
	kept, err := json.Marshal(l.Details, json.Deterministic(true))
	if err == nil && string(kept) != "{}" {
		m.Details = kept
	}
	return m, err
}
