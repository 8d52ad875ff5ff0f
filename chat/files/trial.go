package files

import (
	"context"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

// Trial returns the commands that the store must execute for files, in addition to those for
// chats and the queue, see redisdb.WithTrial. It leaves no key.
func Trial(ctx context.Context, db *redisdb.DB, full bool) []redis.Cmder {
	if !full {
		return nil
	}
	key := db.Key("{files}:try")
	return []redis.Cmder{
		redis.NewIntCmd(ctx, "zadd", key, 1, ""),
		redis.NewBoolCmd(ctx, "pexpire", key, 1000),
		redis.NewIntCmd(ctx, "zrem", key, ""), // removes the set
	}
}
