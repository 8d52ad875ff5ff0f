package log

import "livesupport/broker/redisdb"

// Trial returns the commands that the store must execute for chats, see redisdb.WithTrial. Most of
// them append to a list only if it exists, so they leave no key.
func Trial(db *redisdb.DB, full bool) [][]any {
	key := db.Key("chat:{ready}:try")
	lines := [][]any{{"rpushx", key, ""}}
	if full {
		lines = append(lines, [][]any{
			{"rpush", key, ""}, {"pexpire", key, 1000}, {"lrange", key, 0, -1}, {"llen", key}, {"pttl", key},
			{"lpop", key}, // removes the list
		}...)
	}
	return lines
}
