package redisdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// replicasWithin is how long a pipeline waits for replicas. They answer within a round trip unless
// something is wrong.
const replicasWithin = 500 * time.Millisecond

// ErrUnconfirmed means that too few replicas have confirmed a call in time. The primary has executed
// it. It comes with ErrUnavailable.
var ErrUnconfirmed = errors.New("redis: too few replicas have confirmed")

// Replicas makes calls of Submit and Do succeed only when n replicas have everything that the calls
// have written or read in a list. So nothing that a call has returned is lost with the primary. This
// costs each pipeline one round trip between the primary and its replicas. A call that is not confirmed
// within 0.5 s fails with ErrUnconfirmed, and is not sent again. 0, as by default, waits for nobody.
func Replicas(n int) Option { return func(db *DB) { db.replicas = n } }

// Replicas returns how many replicas confirm a call.
func (db *DB) Replicas() int { return db.replicas }

// passing are commands whose effects may be lost: pipelines that have no others wait for nobody.
var passing = []string{"publish", "spublish", "pttl"}

// replication is the hook that makes pipelines wait. A ClusterClient has it in each node, because
// each node has its own replicas.
type replication int

// confirmed marks, in the context of a pipeline, that it has to wait.
type confirmed struct{}

// awaitReplicas puts the hook into a client that is not used yet.
func (db *DB) awaitReplicas(client redis.UniversalClient) {
	if db.replicas == 0 {
		return
	}
	hook := replication(db.replicas)
	switch c := client.(type) {
	case *redis.ClusterClient:
		c.OnNewNode(func(node *redis.Client) { node.AddHook(hook) })
	case *redis.Client:
		c.AddHook(hook)
	}
}

// DialHook implements redis.Hook.
func (replication) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (replication) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (n replication) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if ctx.Value(confirmed{}) == nil || !slices.ContainsFunc(cmds, lasts) {
			return next(ctx, cmds)
		}
		wait := redis.NewIntCmd(ctx, "wait", int(n), replicasWithin.Milliseconds())
		err := next(ctx, append(append(slices.Clip(cmds), mark(ctx, cmds)...), wait))
		cause := wait.Err()
		switch {
		case cause == nil && wait.Val() >= int64(n):
			return err
		case cause == nil:
			cause = fmt.Errorf("%w: %d of %d", ErrUnconfirmed, wait.Val(), int(n))
		default: // the primary has died or become a replica: the calls are sent again
			cause = fmt.Errorf("wait: %w", cause)
		}
		for _, cmd := range cmds {
			if cmd.Err() == nil {
				cmd.SetErr(cause)
			}
		}
		return cmp.Or(err, cause)
	}
}

func lasts(cmd redis.Cmder) bool { return !slices.Contains(passing, cmd.Name()) }

// mark returns a write that follows the last list that the cmds read, none if they read no list. Redis
// waits for what the connection itself has written, and the list may have entries from others.
func mark(ctx context.Context, cmds []redis.Cmder) []redis.Cmder {
	for _, cmd := range slices.Backward(cmds) {
		if cmd.Name() == "lrange" {
			key := fmt.Sprint(cmd.Args()[1], ":read") // in the slot of the list, and of its name's pattern
			return []redis.Cmder{redis.NewIntCmd(ctx, "rpush", key, ""), redis.NewStringCmd(ctx, "lpop", key)}
		}
	}
	return nil
}
