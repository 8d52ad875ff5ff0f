package web

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"livesupport/chat"
	"livesupport/lobby/settings"
	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"
)

// Bounds of a registration (web/api/README.md, "Registration"): bytes of the body, and
// characters of its fields.
const (
	maxRegistration = 8 << 10
	maxTeam         = 64
	maxAddress      = 2048 // of page and referrer
	maxLanguage     = 35
	maxFields       = 20
	maxFieldKey     = 64
	maxFieldValue   = 1000
)

// register answers GET /user/join/{userName}, and POST after registerWith has parsed the
// body.
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
		return wire.NewError(wire.BadUsername, "A name must have "+wire.NameWanted+".")
	case visitor != nil && name != visitor.Name:
		return errOtherName
	}
	if err := s.limitRate(c, s.registrations, "registrations"); err != nil {
		return err
	}
	// Not the request's own context: fasthttp's only ends with the server, and reading it
	// races with the server's shutdown.
	ctx, cancel := context.WithTimeout(context.Background(), registerTimeout)
	defer cancel()
	with.Name, with.Verified = name, visitor != nil
	if visitor != nil {
		with.Subject = visitor.Subject
	}
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

// limitRate counts a request against the limit of its address.
func (s *Server) limitRate(c *fiber.Ctx, limit *addressRate, what string) error {
	if ok, after := limit.allow(s.clientAddress(c), time.Now()); !ok {
		s.refused(registerRate)
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(after/time.Second)+1))
		return wire.NewError(wire.RateLimited, "Too many "+what+" come from your network. Try again later.")
	}
	return nil
}

// takesBody reports whether a request may have a body over BodyBytes, because its route
// checks the size itself.
func takesBody(c *fiber.Ctx) bool {
	return c.Method() == fiber.MethodPost && (strings.HasPrefix(c.Path(), "/user/join/") || c.Path() == leavePath)
}

// bodyLimit returns the maximum size of a body that a route reads as a whole.
func (s *Server) bodyLimit() int { return max(s.options.BodyBytes, maxRegistration, maxLeft) }

// checkBody refuses a body that is too large for a route that needs none. Fiber has only
// one limit for all routes.
func (s *Server) checkBody(c *fiber.Ctx) error {
	if !s.isUpload(c) && len(c.Body()) > s.options.BodyBytes && !takesBody(c) {
		return fiber.ErrRequestEntityTooLarge
	}
	return c.Next()
}

// registration is the body of a POST. null means the same as leaving a field out.
type registration struct {
	Team    *string  `json:"team"`
	Consent bool     `json:"consent"`
	Details *details `json:"details"`
}

// details is what the site tells agents about a visitor. Empty fields are not kept. The
// consent may also be here or among the fields.
type details struct {
	Consent  bool               `json:"consent,omitzero"`
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
		// A form or a probe sends a POST without JSON. The answer is as if there were no POST.
		c.Set(fiber.HeaderAllow, fiber.MethodGet)
		return fiber.ErrMethodNotAllowed
	}
	with, err := parseRegistration(c.Body(), s.options.Settings.Current())
	if err != nil {
		return err
	}
	return s.register(c, service, with)
}

// parseRegistration checks a body, also against the settings, and returns the registration
// to keep.
func parseRegistration(body []byte, set *settings.Settings) (chat.Registration, error) {
	var with chat.Registration
	var r registration
	if text := jsontext.Value(body); text.Kind() != '{' || !text.IsValid() {
		return with, wire.NewError(wire.BadRequest, "The body must be a JSON object.")
	}
	if err := wire.DecodeArgs(body, &r); err != nil {
		return with, err
	}
	if err := checkTeam(r.Team, set); err != nil {
		return with, err
	}
	if r.Team != nil {
		with.Team = *r.Team
	}
	if r.Details == nil {
		r.Details = &details{}
	}
	d := r.Details
	if err := d.check(); err != nil {
		return with, err
	}
	if err := d.answers(set.Form); err != nil {
		return with, err
	}
	if set.Consent != nil {
		if agreed := d.Fields["consent"]; !r.Consent && !d.Consent && (agreed == nil || *agreed != "true") {
			return with, wire.Missing("consent")
		}
		kept, err := json.Marshal(struct {
			Text string `json:"text"`
			Link string `json:"link,omitzero"`
		}{set.Consent.In(d.Language), set.Consent.Link})
		if err != nil {
			return with, err
		}
		with.Consent = string(kept)
	}
	d.Consent = false // the consent is kept together with its text
	kept, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return with, err
	}
	if string(kept) != "{}" {
		with.Details = string(kept)
	}
	return with, nil
}

// checkTeam checks the team that a visitor asks for, if any.
func checkTeam(team *string, set *settings.Settings) error {
	switch {
	case team == nil:
		return nil
	case *team == "" || !within(*team, maxTeam):
		return tooLong("team", "1 to 64 characters")
	case !set.HasTeam(*team):
		return wire.NewError(wire.BadRequest, `The field "team" does not name one of the teams in the settings.`)
	}
	return nil
}

// check checks the bounds of the details and drops null fields.
func (d *details) check() error {
	switch {
	case !within(d.Page, maxAddress):
		return tooLong("details.page", "at most 2,048 characters")
	case !within(d.Referrer, maxAddress):
		return tooLong("details.referrer", "at most 2,048 characters")
	case !within(d.Language, maxLanguage):
		return tooLong("details.language", "at most 35 characters")
	case len(d.Fields) > maxFields:
		return tooLong("details.fields", "at most 20 entries")
	}
	for key, value := range d.Fields {
		switch {
		case !within(key, maxFieldKey):
			return tooLong("details.fields", "keys of at most 64 characters")
		case value == nil:
			delete(d.Fields, key)
		case !within(*value, maxFieldValue):
			return tooLong("details.fields", "values of at most 1,000 characters")
		}
	}
	return nil
}

// answers checks the answers to the questions of the settings.
func (d *details) answers(form []settings.Field) error {
	for _, question := range form {
		answer := ""
		if value := d.Fields[question.ID]; value != nil {
			answer = strings.TrimSpace(*value)
		}
		field := "details.fields." + question.ID
		missing := answer == "" || question.Kind == settings.Checkbox && answer == "false"
		switch {
		case missing && question.Required:
			return wire.Missing(field)
		case missing:
		case question.Kind == settings.Email && !isEmail(answer):
			return wire.NewError(wire.BadRequest, `The field "`+field+`" must be an email address.`)
		case question.Kind == settings.Select && !slices.Contains(question.Options, *d.Fields[question.ID]):
			return wire.NewError(wire.BadRequest, `The field "`+field+`" must be one of its options.`)
		}
	}
	return nil
}

// isEmail reports whether a text has the form of an email address. Whether the address
// exists only a message to it can tell.
func isEmail(text string) bool {
	at := strings.LastIndexByte(text, '@')
	return at > 0 && at < len(text)-1 && !strings.ContainsAny(text, " \t\r\n<>,;")
}

func within(s string, characters int) bool { return utf8.RuneCountInString(s) <= characters }

func tooLong(field, want string) error {
	return wire.NewError(wire.BadRequest, `The field "`+field+`" must have `+want+`.`)
}
