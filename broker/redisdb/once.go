package redisdb

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Once executes cmds in pipelines of their own, each at most once: unlike Submit, it never sends them
// again. After an error, some may not have been executed. In a Cluster each goes to the master that has
// its first argument's slot according to the map of the Cluster, and is lost where the map is wrong. ctx
// should have a deadline.
func (db *DB) Once(ctx context.Context, cmds ...redis.Cmder) error {
	switch client := db.Client().(type) {
	case *redis.ClusterClient: // which itself would repeat commands
		return onEachNode(ctx, client, cmds, func(node *redis.Client, cmds []redis.Cmder) error {
			return once(ctx, node, cmds)
		})
	default:
		return once(ctx, client, cmds)
	}
}

func once(ctx context.Context, client redis.UniversalClient, cmds []redis.Cmder) error {
	pipe := client.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...) // this only appends
	if _, err := pipe.Exec(ctx); err != nil && !Elsewhere(err) {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}
