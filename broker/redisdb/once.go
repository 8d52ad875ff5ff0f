package redisdb

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Once executes cmds in their own pipeline, each at most once: unlike Submit, it never sends them
// again. After an error, some may not have been executed. The cmds must not need a particular node of
// a Cluster, because all go to the same one. ctx should have a deadline.
func (db *DB) Once(ctx context.Context, cmds ...redis.Cmder) error {
	var node redis.UniversalClient = db.client
	if cluster, ok := node.(*redis.ClusterClient); ok { // a cluster client would repeat commands
		one, err := cluster.MasterForKey(ctx, "once")
		if err != nil {
			return unavailable(err)
		}
		node = one
	}
	pipe := node.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...) // this only appends
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}
