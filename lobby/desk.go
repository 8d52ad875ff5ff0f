package lobby

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
)

// seat is a lobby's report about one of its agents to the queue.
type seat struct {
	agent string
	gone  bool
	seatNews
	status status // the agent's latest Status, or zero
}

const (
	statusOnline = "online"
	statusAway   = "away"
)

// status is the content of an agent's Status.
type status struct {
	at       int64 // in microseconds since 1970; the latest one wins; 0 is never
	away     bool
	capacity int // 0 for any number
}

func (s status) text() string {
	if s.at == 0 {
		return ""
	}
	word := statusOnline
	if s.away {
		word = statusAway
	}
	return fmt.Sprintf("%d %s %d", s.at, word, s.capacity)
}

// desk tells the queue that a lobby server lives, and which of its agents have changed.
// watch says that somebody there wants news of agents. known is false if the queue knew
// nothing of this server, which must then report all of its agents.
func (q *Queue) desk(ctx context.Context, server string, watch bool, seats []seat) (known bool, err error) {
	watchFor := watchFor.Milliseconds()
	if !watch {
		watchFor = 0
	}
	policy := string(q.cfg.Assign)
	if q.cfg.Assign == AssignOff {
		policy = ""
	}
	known = true
	for first := true; first || len(seats) > 0; first = false {
		some := seats[:min(len(seats), 200)]
		seats = seats[len(some):]
		args := append(make([]any, 0, 4+6*len(some)), server, watchFor, policy, q.cfg.OfferTTL.Milliseconds())
		for _, s := range some {
			at, about := any(s.since), []byte(nil)
			if s.gone {
				at = ""
			} else if about, err = json.Marshal(s.about); err != nil {
				return false, err
			}
			shows := 0
			if s.shows {
				shows = 1
			}
			args = append(args, s.agent, at, shows, string(s.teams), about, s.status.text())
		}
		r, err := q.run(ctx, "desk", args...)
		if err != nil {
			return false, err
		}
		if first {
			known = r.result == int64(1)
		}
	}
	return known, nil
}

// closeDesk tells the queue that a lobby server ends and its agents are gone.
func (q *Queue) closeDesk(ctx context.Context, server string) error {
	_, err := q.run(ctx, "undesk", server)
	return err
}

// Decline declines the offer of a user for an agent.
func (q *Queue) Decline(ctx context.Context, chatID, userID, agent string) error {
	_, err := q.run(ctx, "decline", chatID, userID, agent)
	return err
}

// Assignment is the way in which waiting users are offered to agents.
type Assignment string

const (
	AssignOff        Assignment = "off"         // agents choose
	AssignRoundRobin Assignment = "round_robin" // to the agent who has waited longest for an offer
	AssignLeastBusy  Assignment = "least_busy"  // to the agent with the fewest chats for their capacity
)

// nudge makes lobbies that follow agents read the queue soon.
func (q *Queue) nudge() { _ = q.cfg.Broker.Signal(Topic, nil) } // without it they read it a little later
