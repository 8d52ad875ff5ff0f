package lobby

import "livesupport/broker/redisdb"

// Trial returns the commands that the store must execute for the queue, see
// redisdb.WithTrial. It has each command of the script on its own, so that a refusal names
// the command. It leaves no keys, because empty lists, hashes and sorted sets vanish.
func Trial(db *redisdb.DB, full bool) [][]any {
	if !full {
		return nil
	}
	list, hash, set := db.Key("{lobby}:try:list"), db.Key("{lobby}:try:hash"), db.Key("{lobby}:try:set")
	return [][]any{
		{"eval", "return 1", 1, list}, {"time"},
		{"rpush", list, ""}, {"pexpire", list, 1000}, {"pttl", list}, {"ltrim", list, -1, -1}, {"llen", list},
		{"lindex", list, 0}, {"lrange", list, 0, -1}, {"lpop", list},
		{"hset", hash, "a", 1}, {"pexpire", hash, 1000}, {"hsetnx", hash, "a", 1}, {"hincrby", hash, "a", 1},
		{"hlen", hash}, {"hget", hash, "a"}, {"hmget", hash, "a"}, {"hexists", hash, "a"}, {"hdel", hash, "a"},
		{"zadd", set, 1, "a"}, {"pexpire", set, 1000}, {"zcard", set}, {"zscore", set, "a"}, {"zrange", set, 0, -1},
		{"zrangebyscore", set, "-inf", 1}, {"zcount", set, 0, 1}, {"zlexcount", set, "-", "+"}, {"zrangebylex", set, "-", "+"}, {"zrank", set, "a"},
		{"hkeys", hash}, {"zremrangebyscore", set, "-inf", 0}, {"zrem", set, "a"},
	}
}
