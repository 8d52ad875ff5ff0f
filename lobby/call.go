package lobby

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

var errReply = errors.New("lobby: unexpected reply from the queue's script")

type reply struct {
	epoch   string
	version int64
	visible int64
	result  any
}

// run executes one operation of the script and announces the events that it has caused,
// unless the script itself does so.
func (q *Queue) run(ctx context.Context, operation string, args ...any) (reply, error) {
	return q.call(ctx, nil, "", operation, args...)
}

// call is run with a log, unless it is "", behind other commands.
func (q *Queue) call(ctx context.Context, before []redis.Cmder, log, operation string, args ...any) (reply, error) {
	which := scripts[operation]
	value, err := any(withAgents), error(nil)
	if which.alone != nil && !q.agents.Load() {
		value, err = q.execute(ctx, before, which.alone, log, operation, args)
		before = nil // done
	}
	if err == nil && value == withAgents {
		value, err = q.execute(ctx, before, which.agents, log, operation, args)
	}
	if err != nil {
		return reply{}, fmt.Errorf("lobby: %s: %w", operation, err)
	}
	return q.parse(ctx, value)
}

// withAgents is the reply of a script that is for a queue without agents, and has found some.
const withAgents = "agents"

// execute executes a script behind other commands.
func (q *Queue) execute(ctx context.Context, before []redis.Cmder, s *redisdb.Script, log, operation string, args []any) (any, error) {
	keys := len(q.keys)
	if log != "" {
		keys++
	}
	line := s.Begin(make([]any, 0, 7+keys+len(args)), keys)
	line = append(line, q.keys...)
	if log != "" {
		line = append(line, log)
	}
	line = append(line, operation, q.cfg.ChatTTL.Milliseconds(), q.lease.Milliseconds(), q.channel)
	cmd := redis.NewCmd(ctx, append(line, args...)...)
	cmds := []redis.Cmder{cmd}
	if len(before) > 0 {
		cmds = append(slices.Clone(before), cmd)
	}
	if err := q.cfg.DB.Do(ctx, cmds...); err != nil {
		return nil, err
	}
	for _, one := range cmds {
		if err := one.Err(); err != nil {
			return nil, err
		}
	}
	return cmd.Val(), nil
}

// parse takes a script's reply apart, and announces the events in it.
func (q *Queue) parse(ctx context.Context, value any) (reply, error) {
	fields, ok := value.([]any)
	if !ok || len(fields) != 8 {
		return reply{}, errReply
	}
	epoch, ok1 := fields[0].(string)
	version, ok2 := fields[1].(int64)
	visible, ok3 := fields[2].(int64)
	events, err := texts(fields[3])
	if !ok1 || !ok2 || !ok3 || err != nil {
		return reply{}, errReply
	}
	q.offers.count(fields[6])
	q.agents.Store(fields[7] == int64(1))
	var taken <-chan struct{}
	for _, event := range events {
		taken = q.announcer.announce([]byte(event))
	}
	q.announcer.await(ctx, taken)
	if fields[5] == int64(1) {
		q.nudge()
	}
	return reply{epoch, version, visible, fields[4]}, nil
}

func texts(list any) ([]string, error) {
	values, ok := list.([]any)
	if !ok {
		return nil, errReply
	}
	out := make([]string, len(values))
	for i, v := range values {
		if out[i], ok = v.(string); !ok {
			return nil, errReply
		}
	}
	return out, nil
}

func entries(list any) ([]entry, error) {
	lines, err := texts(list)
	if err != nil {
		return nil, err
	}
	out := make([]entry, len(lines))
	for i, line := range lines {
		fields := strings.SplitN(line, " ", 3) // time, place, payload
		if len(fields) < 3 {
			return nil, errReply
		}
		place, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return nil, errReply
		}
		out[i] = entry{place: place, payload: []byte(fields[2])}
	}
	return out, nil
}
