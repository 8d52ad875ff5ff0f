package redisdb

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Once executes cmds in one pipeline of its own, and none of them twice: unlike
// what is submitted they are never sent again. An error says that some may not
// have been executed. They must need no particular node of a Cluster: all go to
// the same one. ctx should have a deadline.
func (db *DB) Once(ctx context.Context, cmds ...redis.Cmder) error {
	var node redis.UniversalClient = db.client
	if cluster, ok := node.(*redis.ClusterClient); ok { // which would repeat
		one, err := cluster.MasterForKey(ctx, "once")
		if err != nil {
			return unavailable(err)
		}
		node = one
	}
	pipe := node.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...) // only appends
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}
