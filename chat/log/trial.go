package log

import (
	"context"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

// Trial returns the commands that the store must execute for chats, see redisdb.WithTrial. Most of
// them append to a list only if it exists, so they leave no key.
func Trial(ctx context.Context, db *redisdb.DB, full bool) []redis.Cmder {
	key := db.Key("chat:{ready}:try")
	cmds := []redis.Cmder{redis.NewIntCmd(ctx, "rpushx", key, "")}
	if full {
		cmds = append(cmds,
			redis.NewIntCmd(ctx, "rpush", key, ""),
			redis.NewBoolCmd(ctx, "pexpire", key, 1000),
			redis.NewStringSliceCmd(ctx, "lrange", key, 0, -1),
			redis.NewIntCmd(ctx, "llen", key),
			redis.NewIntCmd(ctx, "pttl", key),
			redis.NewStringCmd(ctx, "lpop", key), // removes the list
		)
	}
	return cmds
}
