package web

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"livesupport/chat/archive"
	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"
)

// Living gives access to the chats that have not ended.
type Living interface {
	// Close ends a chat for both sides. It leaves a closed or expired chat as it is.
	Close(ctx context.Context, chatID string) error
	// Of returns the chats of the visitor with the given sub.
	Of(ctx context.Context, sub string) (chatIDs []string, err error)
	// Sub returns the sub of a chat's visitor, "" if the visitor has no token.
	Sub(ctx context.Context, chatID string) (sub string, living bool, err error)
}

// archiveTimeout bounds a request to the archive. The answer must come within five seconds
// even if the archive or the store is unavailable.
const archiveTimeout = 4 * time.Second

// Bounds of a page of results.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// serveArchive adds the routes of the archive (web/api/README.md, "Archive routes").
func (s *Server) serveArchive(group fiber.Router) {
	group.Get("/chats", s.archived(s.searchChats))
	group.Get("/chats/:chatId", s.archived(s.archivedChat))
	group.Get("/chats/:chatId/transcript", s.archived(s.archivedTranscript))
	group.Get("/chats/:chatId/earlier", s.archived(s.earlierChats))
	group.Delete("/chats/:chatId", supervisorsOnly, s.archived(s.deleteChat))
	group.Delete("/users/:sub", supervisorsOnly, s.archived(s.deleteUser))
	group.Get("/messages", s.archived(s.leftMessages))
	group.Post("/messages/:messageId/done", s.archived(s.messageDone))
	group.Get("/stats", s.archived(s.stats))
}

// archived makes a route from a function that needs the archive. Its context is not the
// request's own, see register.
func (s *Server) archived(handle func(ctx context.Context, c *fiber.Ctx) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if s.options.Archive == nil {
			return fiber.ErrNotFound
		}
		ctx, cancel := context.WithTimeout(context.Background(), archiveTimeout)
		defer cancel()
		err := handle(ctx, c)
		var wrong *archive.Error
		var own *wire.Error
		switch {
		case errors.As(err, &wrong):
			return wire.NewError(wire.BadRequest, wrong.Error())
		case errors.Is(err, archive.ErrNotFound), errors.Is(err, fiber.ErrNotFound):
			return fiber.ErrNotFound
		case err != nil && !errors.As(err, &own): // the archive itself logs why it is unavailable
			s.options.Log.Debug("the archive is unavailable", "path", c.Route().Path, "error", err)
			return wire.ErrUnavailable
		}
		return err
	}
}

var errSupervisors = wire.NewError(wire.Forbidden, "You need a supervisor's token for this.")

// supervisorsOnly admits only supervisors. It runs after checkAgent.
func supervisorsOnly(c *fiber.Ctx) error {
	if agent, _ := c.Locals(agentLocal).(*wire.Identity); agent == nil || !agent.Supervisor {
		return errSupervisors
	}
	return c.Next()
}

func (s *Server) searchChats(ctx context.Context, c *fiber.Ctx) error {
	f, err := filter(c)
	if err != nil {
		return err
	}
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	text, err := parameter(c, "query")
	if err != nil {
		return err
	}
	chats, next, err := s.options.Archive.Search(ctx, text, f, strings.Clone(c.Query("cursor")), limit)
	if err != nil {
		return err
	}
	return sendJSON(c, struct {
		Chats []archive.Chat `json:"chats"`
		Next  *string        `json:"next"`
	}{chats, nextOf(next)})
}

func (s *Server) archivedChat(ctx context.Context, c *fiber.Ctx) error {
	id, err := idOf(c, "chatId")
	if err != nil {
		return err
	}
	whole, err := s.options.Archive.Get(ctx, id)
	if err != nil {
		return err
	}
	return sendJSON(c, whole)
}

func (s *Server) archivedTranscript(ctx context.Context, c *fiber.Ctx) error {
	id, err := idOf(c, "chatId")
	if err != nil {
		return err
	}
	text, err := s.options.Archive.Transcript(ctx, id)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/plain; charset=utf-8")
	return c.SendString(text)
}

// earlierChats answers with the earlier chats of a chat's visitor, if the visitor has a
// token. It takes the chat's id so that agents need not know the visitor's sub.
func (s *Server) earlierChats(ctx context.Context, c *fiber.Ctx) error {
	id, err := idOf(c, "chatId")
	if err != nil {
		return err
	}
	sub, living, err := s.options.Living.Sub(ctx, id)
	if err != nil {
		return err
	}
	var chats []archive.EarlierChat
	if living {
		chats, err = s.options.Archive.Earlier(ctx, sub)
	} else {
		chats, err = s.options.Archive.Before(ctx, id)
	}
	if err != nil {
		return err
	}
	return sendJSON(c, struct {
		Chats []archive.EarlierChat `json:"chats"`
	}{chats})
}

// deleteChat deletes a chat for good. It first records that the chat must not come back,
// and then closes the chat if it has not ended.
func (s *Server) deleteChat(ctx context.Context, c *fiber.Ctx) error {
	id, err := idOf(c, "chatId")
	if err != nil {
		return err
	}
	if err := s.options.Archive.Forget(ctx, id); err != nil {
		return err
	}
	if err := s.options.Living.Close(ctx, id); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

func (s *Server) deleteUser(ctx context.Context, c *fiber.Ctx) error {
	sub, err := url.PathUnescape(c.Params("sub"))
	if err != nil || !utf8.ValidString(sub) || sub == "" {
		return fiber.ErrNotFound
	}
	sub = strings.Clone(sub)
	if err := s.options.Archive.ForgetUser(ctx, sub); err != nil {
		return err
	}
	living, err := s.options.Living.Of(ctx, sub)
	if err != nil {
		return err
	}
	if err := s.options.Archive.Forget(ctx, living...); err != nil {
		return err
	}
	for _, id := range living {
		if err := s.options.Living.Close(ctx, id); err != nil {
			return err
		}
	}
	return c.SendStatus(fiber.StatusNoContent)
}

func (s *Server) leftMessages(ctx context.Context, c *fiber.Ctx) error {
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	team, err := parameter(c, "team")
	if err != nil {
		return err
	}
	filter := archive.MessageFilter{Team: team}
	switch c.Query("done") {
	case "":
	case "true", "false":
		value := c.Query("done") == "true"
		filter.Done = &value
	default:
		return wire.NewError(wire.BadRequest, `The parameter "done" must be true or false.`)
	}
	messages, next, err := s.options.Archive.Messages(ctx, filter, strings.Clone(c.Query("cursor")), limit)
	if err != nil {
		return err
	}
	return sendJSON(c, struct {
		Messages []archive.Message `json:"messages"`
		Next     *string           `json:"next"`
	}{messages, nextOf(next)})
}

func (s *Server) messageDone(ctx context.Context, c *fiber.Ctx) error {
	id, err := idOf(c, "messageId")
	if err != nil {
		return err
	}
	if err := s.options.Archive.Done(ctx, id); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

func (s *Server) stats(ctx context.Context, c *fiber.Ctx) error {
	f, err := filter(c)
	if err != nil {
		return err
	}
	report, err := s.options.Archive.Report(ctx, f)
	if err != nil {
		return err
	}
	return sendJSON(c, report)
}

// idOf returns the id in a path.
func idOf(c *fiber.Ctx, name string) (string, error) {
	id := strings.Clone(c.Params(name))
	if !wire.ValidID(id) {
		return "", fiber.ErrNotFound
	}
	return id, nil
}

// parameter returns a query parameter that can be any text.
func parameter(c *fiber.Ctx, name string) (string, error) {
	value := strings.Clone(c.Query(name))
	if !utf8.ValidString(value) {
		return "", wire.NewError(wire.BadRequest, `The parameter "`+name+`" must be UTF-8.`)
	}
	return value, nil
}

func limitOf(c *fiber.Ctx) (int, error) {
	value := c.Query("limit")
	if value == "" {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(value)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, wire.NewError(wire.BadRequest, `The parameter "limit" must be a number from 1 to 200.`)
	}
	return limit, nil
}

// filter reads the filter for chats from the query.
func filter(c *fiber.Ctx) (f archive.Filter, err error) {
	for name, to := range map[string]*string{"agent": &f.Agent, "team": &f.Team} {
		if *to, err = parameter(c, name); err != nil {
			return f, err
		}
	}
	for name, to := range map[string]*int64{"from": &f.From, "to": &f.To} {
		if *to, err = timeOf(c, name); err != nil {
			return f, err
		}
	}
	return f, nil
}

// timeOf returns a time or date of the query in microseconds since 1970, 0 without one.
func timeOf(c *fiber.Ctx, name string) (int64, error) {
	value := strings.Clone(c.Query(name))
	if value == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, value); err == nil {
			if us := at.UnixMicro(); us != 0 {
				return us, nil
			}
			return -1, nil // equivalent to 1970
		}
	}
	return 0, wire.NewError(wire.BadRequest, `The parameter "`+name+`" must be a time (RFC 3339) or a date.`)
}

func nextOf(cursor string) *string {
	if cursor == "" {
		return nil
	}
	return &cursor
}

func sendJSON(c *fiber.Ctx, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(body)
}
