package archive_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"livesupport/chat/archive"
	"livesupport/chat/follow"
)

// A report says the same as its chats' summaries, added up one by one.
func TestReportOfMany(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		a := open(t, archive.Config{URL: db.url(t)})
		r := rand.New(rand.NewPCG(5, 6))
		var sums []archive.Summary
		var logs []follow.Log
		for i := range 400 {
			l := spokenTo(r, i)
			logs, sums = append(logs, l), append(sums, archive.Summarize(l.Entries))
		}
		take(t, a, logs...)
		for _, f := range []archive.Filter{
			{}, {From: at(50_000), To: at(250_000)}, {From: sums[100].Ended, To: sums[200].Ended}, {Agent: "sub1"}, {Agent: "Name2"}, {Team: "sales"},
			{Agent: "sub0", Team: "sales", From: at(100_000)}, {To: at(1)},
		} {
			got, err := a.Report(t.Context(), f)
			if want := addedUp(sums, f); err != nil || !reflect.DeepEqual(got, want) {
				x, _ := json.Marshal(got)
				y, _ := json.Marshal(want)
				t.Errorf("%+v: %v\ngot  %s\nwant %s", f, err, x, y)
			}
		}
	})
}

// A report that takes too long fails alone: the archive goes on.
func TestReportThatTakesTooLong(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db database) {
		a := open(t, archive.Config{URL: db.url(t)})
		take(t, a, begin("a", 0).waits(1).user(2, "hello").ends(300))
		over, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		for range 10 {
			if _, err := a.Report(over, archive.Filter{}); !errors.Is(err, follow.ErrAway) {
				t.Fatal(err)
			}
			if got := found(t, a, "hello", archive.Filter{}); len(got) != 1 {
				t.Fatal(got)
			}
		}
	})
}

// spokenTo is the nth of some chats that end one after the other, with up to four supports.
func spokenTo(r *rand.Rand, n int) follow.Log {
	from := float64(n) * 1000
	c := begin(fmt.Sprint("c", n), from).as("", "Ana", []string{"", "sales"}[r.IntN(2)]).waits(from + 1 + r.Float64())
	c.user(from+3, "hello?")
	for i := range r.IntN(5) {
		name, sub := fmt.Sprint("Name", r.IntN(4)), ""
		if r.IntN(2) == 0 {
			sub = fmt.Sprint("sub", r.IntN(3)) // with one of several names
		}
		when := from + 10 + 100*float64(i) + 50*r.Float64()
		c.joins(when, name, sub)
		if r.IntN(2) == 0 {
			c.support(when+r.Float64(), name, "hi")
		}
		c.released(when+30, name, false, "")
	}
	if r.IntN(3) == 0 {
		c.rates(from+600, uint8(1+r.IntN(5)), "")
	}
	return c.ends(from + 700 + 100*r.Float64())
}

// addedUp is the report of chats, whose ends are in order.
func addedUp(sums []archive.Summary, f archive.Filter) archive.Report {
	total, days, agents := &counted{}, map[string]*counted{}, map[archive.Agent]*counted{}
	names := map[archive.Agent]archive.ChatAgent{}
	for _, s := range sums {
		with := func(a archive.Agent) bool { return f.Agent == a.Agent || a.Agent == "" && f.Agent == a.Name }
		if f.From != 0 && s.Ended < f.From || f.To != 0 && s.Ended >= f.To || f.Team != "" && f.Team != s.Team || f.Agent != "" && !slices.ContainsFunc(s.Agents, with) {
			continue
		}
		total.add(s)
		day := time.UnixMicro(s.Ended).UTC().Format(time.DateOnly)
		if days[day] == nil {
			days[day] = &counted{}
		}
		days[day].add(s)
		here := map[archive.Agent]bool{}
		for _, a := range s.Agents {
			key, named := archive.Agent{Name: a.Name}, archive.ChatAgent{Name: a.Name}
			if a.Agent != "" {
				key, named.Agent = archive.Agent{Agent: a.Agent}, &a.Agent
			}
			if agents[key] == nil {
				agents[key] = &counted{}
			}
			if !here[key] {
				here[key] = true
				agents[key].add(s)
				names[key] = named
			}
		}
	}
	r := archive.Report{Figures: total.figures(), Days: []archive.DayFigures{}, Agents: []archive.AgentFigures{}}
	for day, c := range days {
		r.Days = append(r.Days, archive.DayFigures{Day: day, Figures: c.figures()})
	}
	for key, c := range agents {
		r.Agents = append(r.Agents, archive.AgentFigures{ChatAgent: names[key], Figures: c.figures()})
	}
	slices.SortFunc(r.Days, func(x, y archive.DayFigures) int { return strings.Compare(x.Day, y.Day) })
	slices.SortFunc(r.Agents, func(x, y archive.AgentFigures) int {
		sub := func(a archive.AgentFigures) string {
			if a.Agent == nil {
				return ""
			}
			return *a.Agent
		}
		return cmp.Or(y.Chats-x.Chats, strings.Compare(x.Name, y.Name), strings.Compare(sub(x), sub(y)))
	})
	return r
}

// counted are the chats of a set.
type counted []archive.Summary

func (c *counted) add(s archive.Summary) { *c = append(*c, s) }

func (c *counted) figures() archive.Figures {
	f := archive.Figures{Chats: len(*c)}
	var waits, answers, durations []float64
	score, scored := 0.0, 0.0
	for _, s := range *c {
		f.Messages += s.Messages
		if s.Missed {
			f.Missed++
		}
		if s.Score > 0 {
			score += float64(s.Score)
			scored++
		}
		if s.Wait >= 0 {
			waits = append(waits, float64(s.Wait))
		}
		if s.FirstAnswer >= 0 {
			answers = append(answers, float64(s.FirstAnswer))
		}
		durations = append(durations, float64(s.Duration))
	}
	rounded := func(v float64) *float64 {
		v = math.Round(v*1000) / 1000
		return &v
	}
	if scored > 0 {
		f.Score = rounded(score / scored)
	}
	quantile := func(values []float64) (q archive.Quantile) {
		slices.Sort(values)
		for part, into := range map[float64]**float64{0.5: &q.Median, 0.9: &q.P90} {
			if len(values) == 0 {
				continue
			}
			place := part * float64(len(values)-1)
			low := math.Floor(place)
			lower, upper := values[int(low)], values[min(int(low)+1, len(values)-1)]
			*into = rounded((lower + (upper-lower)*(place-low)) / 1e6)
		}
		return q
	}
	f.Wait, f.FirstAnswer, f.Duration = quantile(waits), quantile(answers), quantile(durations)
	return f
}
