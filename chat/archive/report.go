package archive

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"strings"
	"time"
)

// Figures are the figures of a set of chats (web/api/README.md, "Archive routes"). Times are in
// seconds, and nil if there are none.
type Figures struct {
	Chats       int      `json:"chats"`
	Missed      int      `json:"missed"`
	Messages    int      `json:"messages"`
	Score       *float64 `json:"score"`
	Wait        Quantile `json:"wait"`
	FirstAnswer Quantile `json:"firstAnswer"`
	Duration    Quantile `json:"duration"`
}

// Quantile has the values that half and nine tenths of the chats stay below, in seconds.
type Quantile struct {
	Median *float64 `json:"median"`
	P90    *float64 `json:"p90"`
}

// Report has the figures of a period.
type Report struct {
	Figures
	Days   []DayFigures   `json:"days"`
	Agents []AgentFigures `json:"agents"`
}

// DayFigures are the figures of the chats that ended on a day, in UTC.
type DayFigures struct {
	Day string `json:"day"`
	Figures
}

// AgentFigures are the figures of an agent's chats.
type AgentFigures struct {
	ChatAgent
	Figures
}

// sums collects the values for Figures.
type sums struct {
	chats, missed, messages int
	scores, scored          int
	wait, answer, duration  []float64 // seconds
}

// figuresOf has the columns of a chat that a report reads.
type figuresOf struct {
	id, ended, duration int64
	messages            int
	missed              bool
	wait, answer        sql.NullInt64
	score               sql.Null[int]
}

func (s *sums) add(c *figuresOf) {
	s.chats++
	s.messages += c.messages
	if c.missed {
		s.missed++
	}
	if c.score.Valid {
		s.scores += c.score.V
		s.scored++
	}
	s.duration = append(s.duration, seconds(c.duration))
	if c.wait.Valid {
		s.wait = append(s.wait, seconds(c.wait.Int64))
	}
	if c.answer.Valid {
		s.answer = append(s.answer, seconds(c.answer.Int64))
	}
}

func seconds(us int64) float64 { return float64(us) / 1e6 }

func (s *sums) figures() Figures {
	f := Figures{
		Chats: s.chats, Missed: s.missed, Messages: s.messages,
		Wait: quantile(s.wait), FirstAnswer: quantile(s.answer), Duration: quantile(s.duration),
	}
	if s.scored > 0 {
		f.Score = rounded(float64(s.scores) / float64(s.scored))
	}
	return f
}

func quantile(values []float64) Quantile {
	slices.Sort(values)
	return Quantile{at(values, 0.5), at(values, 0.9)}
}

// at returns the quantile of sorted values, interpolated between two of them.
func at(values []float64, part float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	place := part * float64(len(values)-1)
	low := int(place)
	high := min(low+1, len(values)-1)
	v := values[low] + (values[high]-values[low])*(place-float64(low))
	return rounded(v)
}

// rounded rounds to the millisecond, which is the precision of the figures.
func rounded(v float64) *float64 {
	v = math.Round(v*1000) / 1000
	return &v
}

// Report computes the figures of the chats that match a filter.
func (a *Archive) Report(ctx context.Context, f Filter) (Report, error) {
	r := Report{Days: []DayFigures{}, Agents: []AgentFigures{}}
	select {
	case a.reports <- struct{}{}:
		defer func() { <-a.reports }()
	case <-ctx.Done():
		return r, away(ctx.Err())
	}
	err := a.use(ctx, func(c *conn) error {
		where, args := f.where("c.id")
		total, days := &sums{}, map[string]*sums{}
		type key struct{ agent, name string }
		agents, names := map[key]*sums{}, map[key]ChatAgent{}
		chats := map[int64]*figuresOf{}
		err := query(ctx, c.read, func(rows *sql.Rows) error {
			var one figuresOf
			if err := rows.Scan(&one.id, &one.ended, &one.duration, &one.messages, &one.missed, &one.wait, &one.answer, &one.score); err != nil {
				return err
			}
			total.add(&one)
			day := time.UnixMicro(one.ended).UTC().Format(time.DateOnly)
			if days[day] == nil {
				days[day] = &sums{}
			}
			days[day].add(&one)
			chats[one.id] = &one
			return nil
		}, c.sql(`SELECT c.id, c.ended, c.duration, c.messages, c.missed, c.wait, c.first_answer, c.score FROM chats c WHERE `+where), args...)
		if err != nil {
			return err
		}
		counted := map[key]map[int64]bool{}
		err = query(ctx, c.read, func(rows *sql.Rows) error {
			var id int64
			var agent sql.NullString
			var name string
			if err := rows.Scan(&id, &agent, &name); err != nil {
				return err
			}
			k := key{agent: agent.String}
			if !agent.Valid {
				k.name = name
			}
			names[k] = ChatAgent{pointer(agent), name} // the latest name of an agent with several names
			if agents[k] == nil {
				agents[k], counted[k] = &sums{}, map[int64]bool{}
			}
			if one := chats[id]; one != nil && !counted[k][id] {
				agents[k].add(one)
				counted[k][id] = true
			}
			return nil
		}, c.sql(`SELECT g.chat, g.agent, g.name FROM agents g JOIN chats c ON c.id = g.chat WHERE `+where+` ORDER BY g.chat, g.n`), args...)
		if err != nil {
			return err
		}
		r.Figures = total.figures()
		for day, s := range days {
			r.Days = append(r.Days, DayFigures{day, s.figures()})
		}
		for k, s := range agents {
			if s.chats > 0 {
				r.Agents = append(r.Agents, AgentFigures{names[k], s.figures()})
			}
		}
		slices.SortFunc(r.Days, func(x, y DayFigures) int { return strings.Compare(x.Day, y.Day) })
		slices.SortFunc(r.Agents, func(x, y AgentFigures) int {
			if x.Chats != y.Chats {
				return y.Chats - x.Chats
			}
			return strings.Compare(x.Name, y.Name)
		})
		return nil
	})
	return r, err
}
