package log

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

// With an archive or webhooks, the log of a chat outlives the chat in the store by the grace.
// The chat has expired when the log's remaining life is no more than the grace. The process that
// notices moves the log out of the clients' reach (End). From then on the chat is gone for
// clients as if its log had expired.

//go:embed end.lua
var endSource string

var endScript = redisdb.NewScript(endSource)

// EndedKey returns the key of the log of an ended chat, in the slot of the chat.
func (s Store) EndedKey(chatID string) string { return s.Key(chatID) + ":ended" }

// Grace returns how long logs outlive their chats.
func (s Store) Grace() time.Duration { return s.grace }

// deadlines returns the key of the times at which to check chats for expiry, of all servers. The
// times are hints; only the chat's own key tells how long the chat lives.
func (s Store) deadlines() string { return s.db.Key("chat:{follow}:deadlines") }

func (s Store) now() int64 { return s.db.Now().UnixMilli() }

// Remember returns the commands that schedule a check of a chat for when it may have expired,
// none without a grace. A server that is new to a chat executes them first.
func (s Store) Remember(ctx context.Context, chatID string) []redis.Cmder {
	if s.grace == 0 {
		return nil
	}
	return []redis.Cmder{redis.NewIntCmd(ctx, "zadd", s.deadlines(), "nx", s.now()+s.ttl.Milliseconds(), chatID)}
}

// End ends those of the chats that have expired, and returns how long each chat still lives, 0
// if it has ended or is gone. It can be repeated. The last entry of an ended log is Ended, and
// the log is at EndedKey for the grace.
func (s Store) End(ctx context.Context, chatIDs []string) ([]time.Duration, error) {
	return s.end(ctx, chatIDs, "due")
}

// EndNow ends chats, expired or not, because the store is about to end.
func (s Store) EndNow(ctx context.Context, chatIDs []string) error {
	_, err := s.end(ctx, chatIDs, "now")
	return err
}

func (s Store) end(ctx context.Context, chatIDs []string, when string) ([]time.Duration, error) {
	rest := make([]time.Duration, 0, len(chatIDs))
	for ids := range slices.Chunk(chatIDs, pieceSize) {
		cmds := make([]redis.Cmder, len(ids))
		for i, id := range ids {
			cmds[i] = redis.NewIntCmd(ctx, endScript.Line(2, s.Key(id), s.EndedKey(id),
				s.grace.Milliseconds(), s.ttl.Milliseconds(), s.db.Now().UnixMicro(), when)...)
		}
		if err := s.do(ctx, cmds...); err != nil {
			return nil, err
		}
		for _, cmd := range cmds {
			rest = append(rest, time.Duration(cmd.(*redis.IntCmd).Val())*time.Millisecond)
		}
	}
	return rest, nil
}

// EndAgain schedules a check, after some time, of those of the chats whose logs are where they were before End.
// The master of a Cluster that has them has lost that they have ended.
func (s Store) EndAgain(ctx context.Context, chatIDs []string, after time.Duration) error {
	if len(chatIDs) == 0 {
		return nil
	}
	sizes := make([]redis.Cmder, len(chatIDs))
	for i, id := range chatIDs {
		sizes[i] = redis.NewIntCmd(ctx, "llen", s.Key(id))
	}
	if err := s.do(ctx, sizes...); err != nil {
		return err
	}
	line := []any{"zadd", s.deadlines(), "nx"}
	for i, id := range chatIDs {
		if sizes[i].(*redis.IntCmd).Val() > 0 {
			line = append(line, s.now()+after.Milliseconds(), id)
		}
	}
	if len(line) == 3 {
		return nil
	}
	return s.do(ctx, redis.NewIntCmd(ctx, line...))
}

// HasEnded reports whether the log of an ended chat still exists.
func (s Store) HasEnded(ctx context.Context, chatID string) (bool, error) {
	size := redis.NewIntCmd(ctx, "llen", s.EndedKey(chatID))
	err := s.do(ctx, size)
	return size.Val() > 0, err
}

// Due takes up to n chats to check, for the length of a lease, during which no other process gets
// them. The caller must call Later or Forget.
func (s Store) Due(ctx context.Context, n int, lease time.Duration) ([]string, error) {
	ids, _, err := TakeDue(ctx, s.db, s.deadlines(), n, lease)
	return ids, err
}

// Later schedules the next checks of chats, after the given times.
func (s Store) Later(ctx context.Context, chats map[string]time.Duration) error {
	if len(chats) == 0 {
		return nil
	}
	line := []any{"zadd", s.deadlines(), "xx"}
	for id, rest := range chats {
		line = append(line, s.now()+rest.Milliseconds(), id)
	}
	return s.do(ctx, redis.NewIntCmd(ctx, line...))
}

// Forget ends the checks of chats.
func (s Store) Forget(ctx context.Context, chatIDs []string) error {
	if len(chatIDs) == 0 {
		return nil
	}
	line := []any{"zrem", s.deadlines()}
	for _, id := range chatIDs {
		line = append(line, id)
	}
	return s.do(ctx, redis.NewIntCmd(ctx, line...))
}

// Living calls f with all chats that may be live, some at a time, until f fails.
func (s Store) Living(ctx context.Context, f func(chatIDs []string) error) error {
	var cursor uint64
	for {
		scan := redis.NewScanCmd(ctx, nil, "zscan", s.deadlines(), cursor, "count", pieceSize)
		if err := s.do(ctx, scan); err != nil {
			return err
		}
		members, next := scan.Val()
		ids := make([]string, 0, len(members)/2)
		for i := 0; i+1 < len(members); i += 2 { // each member with its score
			ids = append(ids, members[i])
		}
		if err := f(ids); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// First returns the registration of each chat, the zero Event for a chat that is gone.
func (s Store) First(ctx context.Context, chatIDs []string) ([]Event, error) {
	cmds := make([]redis.Cmder, len(chatIDs))
	for i, id := range chatIDs {
		cmds[i] = redis.NewStringCmd(ctx, "lindex", s.Key(id), 0)
	}
	if err := s.db.Do(ctx, cmds...); err != nil {
		return nil, err
	}
	events := make([]Event, len(cmds))
	for i, cmd := range cmds {
		switch err := cmd.Err(); {
		case err == nil:
			events[i] = Decode([]byte(cmd.(*redis.StringCmd).Val()))
		case !errors.Is(err, redis.Nil):
			return nil, fmt.Errorf("log: lindex: %w", err)
		}
	}
	return events, nil
}

// Load reads a whole log like Read, for callers that do not know whether the chat has expired. It
// may have to end the chat first.
func (s Store) Load(ctx context.Context, chatID string) (entries []string, over bool, err error) {
	if s.grace == 0 {
		entries, err = s.Read(ctx, chatID, 0)
		return entries, false, err
	}
	list := redis.NewStringSliceCmd(ctx, "lrange", s.Key(chatID), 0, -1)
	rest := redis.NewIntCmd(ctx, "pttl", s.Key(chatID))
	if err := s.do(ctx, list, rest); err != nil {
		return nil, false, err
	}
	if len(list.Val()) == 0 {
		return nil, false, ErrGone
	}
	return list.Val(), rest.Val() >= 0 && rest.Val() <= s.grace.Milliseconds(), nil
}
