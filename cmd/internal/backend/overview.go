package backend

import (
	"context"

	"livesupport/lobby"
	"livesupport/web"
)

// overview returns a function that reads the state of the desk from the queue.
func overview(queue *lobby.Queue) func(context.Context) (web.Desk, error) {
	return func(ctx context.Context) (web.Desk, error) {
		o, err := queue.Overview(ctx)
		return web.Desk{Agents: o.Agents, Waiting: o.Waiting, Estimate: o.Estimate, OfTeam: o.OfTeam}, err
	}
}
