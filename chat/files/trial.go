package files

import "livesupport/broker/redisdb"

// Trial returns the commands that the store must execute for files, in addition to those for
// chats and the queue, see redisdb.WithTrial. It leaves no key.
func Trial(db *redisdb.DB, full bool) [][]any {
	if !full {
		return nil
	}
	key := db.Key("{files}:try")
	return [][]any{{"zadd", key, 1, ""}, {"pexpire", key, 1000}, {"zrem", key, ""}} // the last one removes the set
}
