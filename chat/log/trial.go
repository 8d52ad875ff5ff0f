package log

import (
	"context"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

// Trial is what the store must execute for chats: see redisdb.WithTrial. Mostly
// it appends to a list that is not there, which Redis does not make.
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
			redis.NewStringCmd(ctx, "lpop", key), // which takes the list away
		)
	}
	return cmds
}
