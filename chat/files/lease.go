package files

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Leases say when to check whether something can be deleted. They are a sorted set in Redis,
// ordered by that time in milliseconds, of chats and of files that perhaps no message has. A
// lease is written before its file and removed when everything is done, so the death of a
// process leaves nothing behind. If the leases are lost, Tidy finds the files.

const leaseKey = "{files}:leases"

// claimLeases returns due leases, and hides them from other processes for a while.
var claimLeases = redis.NewScript(`
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, lease in ipairs(due) do
	redis.call('ZADD', KEYS[1], ARGV[2], lease)
end
return due`)

// lease is the lease of a chat or, with a fileID, of a file.
type lease struct{ chatID, fileID string }

func (l lease) String() string {
	if l.fileID == "" {
		return l.chatID
	}
	return l.chatID + ":" + l.fileID
}

func parseLease(s string) lease {
	chatID, fileID, _ := strings.Cut(s, ":")
	return lease{chatID, fileID}
}

// hold writes a lease that is due after the given time. With the lease of a file it also writes
// one for its chat, due soon, if there is none.
func (s *Service) hold(ctx context.Context, after time.Duration, l lease) error {
	now := s.cfg.DB.Now()
	key := s.cfg.DB.Key(leaseKey)
	cmds := []redis.Cmder{redis.NewIntCmd(ctx, "zadd", key, now.Add(after).UnixMilli(), l.String())}
	if l.fileID != "" {
		cmds = append(cmds, redis.NewIntCmd(ctx, "zadd", key, "nx", now.UnixMilli(), l.chatID))
	}
	return s.do(ctx, append(cmds, redis.NewBoolCmd(ctx, "pexpire", key, s.leaseLife().Milliseconds()))...)
}

// drop removes leases.
func (s *Service) drop(ctx context.Context, leases ...lease) error {
	args := []any{"zrem", s.cfg.DB.Key(leaseKey)}
	for _, l := range leases {
		args = append(args, l.String())
	}
	return s.do(ctx, redis.NewIntCmd(ctx, args...))
}

func (s *Service) do(ctx context.Context, cmds ...redis.Cmder) error {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	if err := s.cfg.DB.Do(ctx, cmds...); err != nil {
		return err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return err
		}
	}
	return nil
}

// claim returns due leases.
func (s *Service) claim(ctx context.Context) ([]lease, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	now := s.cfg.DB.Now()
	due, err := claimLeases.Run(ctx, s.cfg.DB.Client(), []string{s.cfg.DB.Key(leaseKey)},
		now.UnixMilli(), now.Add(claimTime).UnixMilli(), sweepSize).StringSlice()
	leases := make([]lease, len(due))
	for i, one := range due {
		leases[i] = parseLease(one)
	}
	return leases, err
}
