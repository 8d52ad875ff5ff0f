package lobby

import (
	"context"
	"time"
)

// watchFor is how long one request for an Overview keeps lobbies reporting their agents.
const watchFor = 20 * time.Second

// Overview is the state of all lobbies together.
type Overview struct {
	// Agents is the number of agents who are online and have room; without tokens, of
	// sockets that are not away.
	Agents int
	// Waiting is the number of users whom no agent has claimed. An offer does not count as
	// a claim here.
	Waiting int
	// Estimate is how long the next user will probably wait, negative if unknown.
	Estimate time.Duration

	teams  map[string]int // of Agents, those of a team
	anyone int            // of Agents, those who see all users
}

// OfTeam returns how many of the Agents are available for users of a team: those of the
// team, and those without a team.
func (o *Overview) OfTeam(team string) int { return o.teams[team] + o.anyone }

// Overview returns the state of all lobbies. The first call after a while takes up to a
// second, in which the lobbies report their agents.
func (q *Queue) Overview(ctx context.Context) (Overview, error) {
	o, watched, err := q.overview(ctx)
	if err != nil || watched {
		return o, err
	}
	pause(ctx, time.Second) // lobbies read the queue at least twice in this time
	o, _, err = q.overview(ctx)
	return o, err
}

func (q *Queue) overview(ctx context.Context) (o Overview, watched bool, err error) {
	r, err := q.run(ctx, "overview", watchFor.Milliseconds())
	if err != nil {
		return o, false, err
	}
	parts, ok := r.result.([]any)
	if !ok || len(parts) != 4 {
		return o, false, errReply
	}
	interval, ok1 := parts[1].(int64)
	list, ok2 := parts[2].([]any)
	waiting, ok3 := parts[3].(int64)
	if !ok1 || !ok2 || !ok3 {
		return o, false, errReply
	}
	o = Overview{Waiting: int(waiting), Estimate: -1, teams: map[string]int{}}
	if interval >= 0 {
		o.Estimate = time.Duration(o.Waiting+1) * time.Duration(interval) * time.Millisecond
	}
	for _, one := range list {
		values, ok := one.([]any)
		if !ok || len(values) == 0 {
			return o, false, errReply
		}
		a, ok := parseAgent("", values[1:])
		if !ok {
			return o, false, errReply
		}
		o.count(a)
	}
	return o, parts[0] == int64(1), nil
}

func (o *Overview) count(a agentNews) {
	if len(a.seats) == 0 || a.away {
		return
	}
	if a.seats[0].Known && a.capacity > 0 && a.held+a.claimed+a.offered >= a.capacity {
		return
	}
	o.Agents++
	teams := a.teams()
	if teams == "" {
		o.anyone++
	}
	for _, team := range teams.list() {
		o.teams[team]++
	}
}
