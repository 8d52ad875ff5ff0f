package archive

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
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
	wait, answer, duration  []int64 // microseconds
}

// sumColumns are the columns of a group of chats for sums. The values of which a report has
// quantiles come as one text, because a row for each chat would take several times as long.
func (d dialect) sumColumns() string {
	values := "GROUP_CONCAT(%s)"
	if d == postgres {
		values = "STRING_AGG(CAST(%s AS TEXT), ',')"
	}
	columns := "COUNT(*), COUNT(CASE WHEN c.missed THEN 1 END), SUM(c.messages), COALESCE(SUM(c.score), 0), COUNT(c.score)"
	for _, column := range []string{"c.wait", "c.first_answer", "c.duration"} {
		columns += ", " + fmt.Sprintf(values, column)
	}
	return columns
}

// scanSums reads a group's key from the first columns of a row, and its values from sumColumns.
func scanSums(rows *sql.Rows, key ...any) (*sums, error) {
	s := &sums{}
	var wait, answer, duration sql.RawBytes
	err := rows.Scan(append(key, &s.chats, &s.missed, &s.messages, &s.scores, &s.scored, &wait, &answer, &duration)...)
	if err != nil {
		return nil, err
	}
	for text, values := range map[*sql.RawBytes]*[]int64{&wait: &s.wait, &answer: &s.answer, &duration: &s.duration} {
		if *values, err = numbers(*text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// numbers reads numbers with commas between them.
func numbers(text []byte) ([]int64, error) {
	if len(text) == 0 {
		return nil, nil
	}
	all := make([]int64, 0, bytes.Count(text, []byte(","))+1)
	for number := range bytes.SplitSeq(text, []byte(",")) {
		n, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func (s *sums) add(more *sums) {
	s.chats += more.chats
	s.missed += more.missed
	s.messages += more.messages
	s.scores += more.scores
	s.scored += more.scored
	s.wait = append(s.wait, more.wait...)
	s.answer = append(s.answer, more.answer...)
	s.duration = append(s.duration, more.duration...)
}

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

func quantile(values []int64) Quantile {
	slices.Sort(values)
	return Quantile{at(values, 0.5), at(values, 0.9)}
}

// at returns the quantile of sorted values, interpolated between two of them, in seconds.
func at(values []int64, part float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	place := part * float64(len(values)-1)
	low := int(place)
	high := min(low+1, len(values)-1)
	v := float64(values[low]) + float64(values[high]-values[low])*(place-float64(low))
	return rounded(v / 1e6)
}

// rounded rounds to the millisecond, which is the precision of the figures.
func rounded(v float64) *float64 {
	v = math.Round(v*1000) / 1000
	return &v
}

// tally collects the groups of chats of a report.
type tally struct {
	total  sums
	days   map[int64]*sums // by the day since 1970
	agents map[agentKey]*agentSums
}

// agentKey is an agent, by the token's sub or, without tokens, the name.
type agentKey struct{ agent, name string }

// agentSums are the sums of an agent's chats. A chat counts once for each agent who has had it.
type agentSums struct {
	ChatAgent
	sums
	latest int64 // the number of their latest chat
}

// dayLength is a day in microseconds.
const dayLength = 24 * 60 * 60 * 1_000_000

// tallyStatement groups the chats for which a condition holds by day and agent. It has a row for
// each agent of a chat; those that are not a chat's first say so.
func (d dialect) tallyStatement(where string) string {
	return fmt.Sprintf(`SELECT c.ended / %d, g.agent, g.name, COALESCE(g.n, 0) > 0, MAX(c.id), %s
		FROM chats c LEFT JOIN agents g ON g.chat = c.id AND (g.n = 0
			OR NOT EXISTS (SELECT 1 FROM agents o WHERE o.chat = g.chat AND o.agent = g.agent AND o.n < g.n))
		WHERE %s GROUP BY 1, 2, 3, 4`, dayLength, d.sumColumns(), where)
}

// add adds a row of tallyStatement.
func (t *tally) add(rows *sql.Rows) error {
	var day, latest int64
	var agent, name sql.NullString
	var further bool
	s, err := scanSums(rows, &day, &agent, &name, &further, &latest)
	if err != nil {
		return err
	}
	if !further {
		t.total.add(s)
		if t.days[day] == nil {
			t.days[day] = &sums{}
		}
		t.days[day].add(s)
	}
	if !name.Valid { // nobody had these chats
		return nil
	}
	k := agentKey{agent: agent.String}
	if !agent.Valid {
		k.name = name.String
	}
	if t.agents[k] == nil {
		t.agents[k] = &agentSums{}
	}
	of := t.agents[k]
	of.add(s)
	if latest > of.latest { // an agent may have had several names
		of.latest, of.ChatAgent = latest, ChatAgent{pointer(agent), name.String}
	}
	return nil
}

func (t *tally) report() Report {
	r := Report{Figures: t.total.figures(), Days: []DayFigures{}, Agents: []AgentFigures{}}
	for _, day := range slices.Sorted(maps.Keys(t.days)) {
		r.Days = append(r.Days, DayFigures{time.UnixMicro(day * dayLength).UTC().Format(time.DateOnly), t.days[day].figures()})
	}
	for _, s := range t.agents {
		r.Agents = append(r.Agents, AgentFigures{s.ChatAgent, s.figures()})
	}
	sub := func(f AgentFigures) string {
		if f.Agent == nil {
			return ""
		}
		return *f.Agent
	}
	slices.SortFunc(r.Agents, func(x, y AgentFigures) int {
		return cmp.Or(y.Chats-x.Chats, strings.Compare(x.Name, y.Name), strings.Compare(sub(x), sub(y)))
	})
	return r
}

// Report computes the figures of the chats that match a filter.
func (a *Archive) Report(ctx context.Context, f Filter) (Report, error) {
	select {
	case a.reports <- struct{}{}:
		defer func() { <-a.reports }()
	case <-ctx.Done():
		return Report{}, away(ctx.Err())
	}
	t := tally{days: map[int64]*sums{}, agents: map[agentKey]*agentSums{}}
	err := a.useAtLength(ctx, func(c *conn) error {
		where, args := f.where("c.id")
		return query(ctx, c.read, t.add, c.sql(c.dialect.tallyStatement(where)), args...)
	})
	if err != nil {
		return Report{}, err
	}
	return t.report(), nil
}
