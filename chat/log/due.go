package log

import (
	"context"
	"fmt"
	"time"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

// A due list is a sorted set of work ordered by the time when it is due, in milliseconds since
// 1970. A process that takes a member postpones it by a lease, so that only one process at a time
// handles it, and another process handles it if that one dies. The end of the lease identifies
// the lease. A fraction of a millisecond marks a time in the future: half a millisecond, that the
// member was added again during the lease, so that the process may have checked too early; a
// quarter, that it is the time of the next try and not the end of a lease.

// TakeDue takes up to n due members for the length of a lease, which ends at until.
func TakeDue(ctx context.Context, db *redisdb.DB, key string, n int, lease time.Duration) (members []string, until int64, err error) {
	return TakeOverdue(ctx, db, key, n, lease, 0)
}

// TakeOverdue is TakeDue for members that have been due for the given time.
func TakeOverdue(ctx context.Context, db *redisdb.DB, key string, n int, lease, overdue time.Duration) (members []string, until int64, err error) {
	now := db.Now()
	until = now.Add(lease).UnixMilli()
	cmd := redis.NewStringSliceCmd(ctx, dueScript.Line(1, key, now.Add(-overdue).UnixMilli(), until, n)...)
	err = db.Do(ctx, cmd)
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("log: take due members: %w", err)
	}
	return cmd.Val(), until, nil
}

var dueScript = redisdb.NewScript(`
local due = redis.call('zrangebyscore', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do redis.call('zadd', KEYS[1], ARGV[2], member) end
return due`)

// Claimed is the answer of Claim for a member that it has taken.
const Claimed = -1

// Claim adds members to a due list. It takes the first n of them that no other process has, for
// the length of a lease, which ends at until. The answer for each member is Claimed, or the time
// before which no process takes it, or 0 if one may take it at any time: either it is due now, or
// another process has it and Leave will put it back.
func Claim(ctx context.Context, db *redisdb.DB, key string, members []string, n int, lease time.Duration) (answers []int64, until int64, err error) {
	now := db.Now()
	until = now.Add(lease).UnixMilli()
	cmd := claim(ctx, key, now.UnixMilli(), until, n, members)
	err = db.Do(ctx, cmd)
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("log: claim members: %w", err)
	}
	return cmd.Val(), until, nil
}

// AddDue returns the command that adds members to a due list for now, as Claim does, and takes
// none of them.
func AddDue(ctx context.Context, key string, now int64, members []string) redis.Cmder {
	return claim(ctx, key, now, now, 0, members)
}

func claim(ctx context.Context, key string, now, until int64, n int, members []string) *redis.IntSliceCmd {
	line := claimScript.Line(1, key, now, until, n)
	for _, member := range members {
		line = append(line, member)
	}
	return redis.NewIntSliceCmd(ctx, line...)
}

var claimScript = redisdb.NewScript(`
local now, free, answers = tonumber(ARGV[1]), tonumber(ARGV[3]), {}
for i = 4, #ARGV do
  local score = redis.call('zscore', KEYS[1], ARGV[i])
  local at, answer = tonumber(score or now), 0
  local more = at - math.floor(at)
  if at <= now then
    if free > 0 then
      redis.call('zadd', KEYS[1], ARGV[2], ARGV[i])
      free, answer = free - 1, -1
    elseif not score then
      redis.call('zadd', KEYS[1], ARGV[1], ARGV[i])
    end
  elseif more == 0.25 then
    answer = math.floor(at)
  elseif more == 0 then
    redis.call('zadd', KEYS[1], string.format('%.1f', at + 0.5), ARGV[i])
  end
  answers[i - 3] = answer
end
return answers`)

// Renew returns the command that moves the end of a member's lease from until to another time. If
// another process has the member, the command changes nothing and returns 0.
func Renew(ctx context.Context, key, member string, until, to int64) *redis.IntCmd {
	return redis.NewIntCmd(ctx, renewScript.Line(1, key, member, until, to)...)
}

var renewScript = redisdb.NewScript(`
local score = tonumber(redis.call('zscore', KEYS[1], ARGV[1]) or 0)
if math.floor(score) ~= tonumber(ARGV[2]) then return 0 end
redis.call('zadd', KEYS[1], string.format('%.1f', ARGV[3] + score - math.floor(score)), ARGV[1])
return 1`)

// PutOff returns the command that releases a member, whose lease ends at until, until another
// time. If another process has the member, the command changes nothing and returns 0.
func PutOff(ctx context.Context, key, member string, until, to int64) *redis.IntCmd {
	return redis.NewIntCmd(ctx, putOffScript.Line(1, key, member, until, to)...)
}

var putOffScript = redisdb.NewScript(`
local score = tonumber(redis.call('zscore', KEYS[1], ARGV[1]) or 0)
if math.floor(score) ~= tonumber(ARGV[2]) then return 0 end
redis.call('zadd', KEYS[1], string.format('%.2f', ARGV[3] + 0.25), ARGV[1])
return 1`)

// Leave returns the command that removes a member, whose lease ends at until, from a due list.
// The command returns 0 if another process has the member, 1 if it has removed it, and 2 if the
// member was added again meanwhile and is now due at now.
func Leave(ctx context.Context, key, member string, until, now int64) *redis.IntCmd {
	return redis.NewIntCmd(ctx, leaveScript.Line(1, key, member, until, now)...)
}

var leaveScript = redisdb.NewScript(`
local score = tonumber(redis.call('zscore', KEYS[1], ARGV[1]) or 0)
if math.floor(score) ~= tonumber(ARGV[2]) then return 0 end
if score == math.floor(score) then return redis.call('zrem', KEYS[1], ARGV[1]) end
redis.call('zadd', KEYS[1], ARGV[3], ARGV[1])
return 2`)
