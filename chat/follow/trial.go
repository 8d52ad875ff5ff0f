package follow

import (
	"context"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

// Trial returns the commands that the store must execute for ended chats, in addition to those
// for live ones, see redisdb.WithTrial.
func Trial(ctx context.Context, db *redisdb.DB, full bool) []redis.Cmder {
	if !full {
		return nil
	}
	key := db.Key("chat:{follow}:try")
	return []redis.Cmder{
		redis.NewCmd(ctx, "eval", trialSource, 2, key, key+":ended"), // in one step, because other processes try the same
		redis.NewScanCmd(ctx, nil, "zscan", key, 0),
	}
}

const trialSource = `
redis.call('rpush', KEYS[1], '')
redis.call('rename', KEYS[1], KEYS[2])
return redis.call('del', KEYS[2])`
