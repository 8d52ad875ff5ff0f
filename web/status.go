package web

import (
	"context"
	"sync"
	"time"

	"livesupport/lobby/settings"

	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"
)

const (
	// deskFresh is how long one reading of the desk is used for all requests.
	deskFresh = time.Second
	// deskStale is how long it is used while the next reading is in progress or fails.
	// Together with the lobbies' delay, that is less than 5 s.
	deskStale = 3 * time.Second
	// deskTimeout bounds a reading.
	deskTimeout = 3 * time.Second
)

// Desk is the state of the desk: who is available and who waits.
type Desk struct {
	Agents  int // agents who are online with room for a chat
	Waiting int // waiting users whom no agent has claimed
	// Estimate is how long the next visitor will probably wait, negative if unknown.
	Estimate time.Duration
	// OfTeam returns how many of the Agents are available for users of a team.
	OfTeam func(team string) int
}

// FileLimits says which files are accepted.
type FileLimits struct {
	Size  int64    `json:"size"` // bytes
	Types []string `json:"types"`
}

// desk reads the state of the desk once for all concurrent requests. It is safe for
// concurrent use.
type desk struct {
	look func(context.Context) (Desk, error)

	mu      sync.Mutex
	latest  Desk
	seen    time.Time // when the reading of latest began
	tried   time.Time // when the last reading began
	err     error     // of the last reading
	looking chan struct{}
}

// now returns the state of the desk, at most deskStale old. While the store is
// unavailable, only the first request waits; the others get an error at once.
func (d *desk) now() (Desk, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.tried) < deskFresh && d.looking == nil {
		return d.known()
	}
	if looking := d.looking; looking != nil {
		if time.Since(d.seen) >= deskStale {
			d.mu.Unlock()
			<-looking // ends within deskTimeout
			d.mu.Lock()
		}
		return d.known()
	}
	d.tried, d.looking = time.Now(), make(chan struct{})
	began := d.tried
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), deskTimeout)
	latest, err := d.look(ctx)
	cancel()
	d.mu.Lock()
	if d.err = err; err == nil {
		d.latest, d.seen = latest, began
	}
	close(d.looking)
	d.looking = nil
	return d.known()
}

// known returns the latest state if it is fresh enough. The caller holds mu.
func (d *desk) known() (Desk, error) {
	if d.err != nil && time.Since(d.seen) >= deskStale {
		return Desk{}, d.err
	}
	return d.latest, nil
}

// availability is the response to GET /status (web/api/README.md, "Status").
type availability struct {
	Open     bool         `json:"open"`
	Opens    *string      `json:"opens"`
	Agents   int          `json:"agents"`
	Waiting  int          `json:"waiting"`
	Estimate *int64       `json:"estimate"`
	Teams    []teamStatus `json:"teams"`
	settings.Shown
	Files    *FileLimits `json:"files,omitzero"`
	Messages bool        `json:"messages"`
	Preview  bool        `json:"preview"`
}

type teamStatus struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Open   bool   `json:"open"`
	Agents int    `json:"agents"`
}

const timestamp = "2006-01-02T15:04:05.000000Z"

// answerStatus answers GET /status. It evaluates the hours for each request.
func (s *Server) answerStatus(c *fiber.Ctx) error {
	stands, err := s.desk.now()
	if err != nil {
		return err
	}
	now, set := s.options.Now(), s.options.Settings.Current()
	answer := availability{
		Agents: stands.Agents, Waiting: stands.Waiting, Shown: set.Shown,
		Files: s.options.Files, Messages: s.options.Messages, Preview: s.options.Site.TypingPreview,
		Teams: make([]teamStatus, 0, len(set.Teams())),
	}
	open, opens := set.Open(now)
	if answer.Open = open; !opens.IsZero() {
		text := opens.UTC().Format(timestamp)
		answer.Opens = &text
	}
	if stands.Estimate >= 0 {
		seconds := int64(stands.Estimate.Round(time.Second) / time.Second)
		answer.Estimate = &seconds
	}
	for _, team := range set.Teams() {
		answer.Teams = append(answer.Teams, teamStatus{team.ID, team.Name, set.TeamOpen(team, now), stands.OfTeam(team.ID)})
	}
	body, err := json.Marshal(&answer)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Send(body)
}
