package follow

import "livesupport/broker/redisdb"

// Trial returns the commands that the store must execute for ended chats, in addition to those
// for live ones, see redisdb.WithTrial.
func Trial(db *redisdb.DB, full bool) [][]any {
	if !full {
		return nil
	}
	key := db.Key("chat:{follow}:try")
	return [][]any{
		{"eval", trialSource, 2, key, key + ":ended"}, // in one step, because other processes try the same
		{"zscan", key, 0},
	}
}

const trialSource = `
redis.call('rpush', KEYS[1], '')
redis.call('rename', KEYS[1], KEYS[2])
return redis.call('del', KEYS[2])`
