package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

// errGone: the chat has expired, or was never there.
var errGone = errors.New("chat: gone")

// log reaches the logs in Redis: one list per chat, which lives for ttl after
// the last append or renewal. A position in a log is the number of entries up
// to and including that one: the registration is at 1. Its methods may be
// called concurrently; all of them may be repeated (see Event.ID).
type log struct {
	db  *redisdb.DB
	ttl time.Duration
}

func key(chatID string) string { return "chat:{" + chatID + "}" }

func (l log) expire(ctx context.Context, chatID string) *redis.BoolCmd {
	return l.expireKey(ctx, key(chatID))
}

// expireKey takes the key as the interface value that other commands share:
// converting a string to one allocates.
func (l log) expireKey(ctx context.Context, key any) *redis.BoolCmd {
	return redis.NewBoolCmd(ctx, "pexpire", key, l.ttl.Milliseconds())
}

// do executes commands in a shared pipeline and returns the first error.
func (l log) do(ctx context.Context, cmds ...redis.Cmder) error {
	if err := l.db.Do(ctx, cmds...); err != nil {
		return err
	}
	return firstError(cmds)
}

func firstError(cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return fmt.Errorf("chat: %s: %w", cmd.Name(), err)
		}
	}
	return nil
}

// create begins a chat with its registration.
func (l log) create(ctx context.Context, e Event) error {
	return l.do(ctx, redis.NewIntCmd(ctx, "rpush", key(e.ChatID), e.encode()), l.expire(ctx, e.ChatID))
}

// append puts an entry behind the others, renews the chat, and calls done with
// the entry's position, in the order of the positions: 0 if the chat is gone.
// done must not block.
func (l log) append(deadline time.Time, chatID string, entry []byte, done func(seq int64, err error)) {
	ctx := context.Background() // the deadline bounds it
	var key any = key(chatID)
	push := redis.NewIntCmd(ctx, "rpushx", key, entry)
	expire := l.expireKey(ctx, key)
	l.db.Submit(deadline, func(err error) {
		if err == nil {
			err = push.Err()
		}
		done(push.Val(), err)
	}, push, expire)
}

// try finds out whether an append to a chat would be taken: where the chat's log
// lives, it appends to a list that is not there, which Redis does not make.
func (l log) try(ctx context.Context, chatID string) error {
	return l.do(ctx, redis.NewIntCmd(ctx, "rpushx", key(chatID)+":try", ""))
}

// read returns the entries behind position after.
func (l log) read(ctx context.Context, chatID string, after int64) ([]string, error) {
	entries := redis.NewStringSliceCmd(ctx, "lrange", key(chatID), after, -1)
	size := redis.NewIntCmd(ctx, "llen", key(chatID))
	if err := l.do(ctx, entries, size); err != nil {
		return nil, err
	}
	switch {
	case size.Val() == 0:
		return nil, errGone
	case size.Val() < after:
		return nil, errDiverged
	}
	return entries.Val(), nil
}

// errDiverged: the log is shorter than it was. The store has lost its end, for
// instance when a replica that was behind took over.
var errDiverged = errors.New("chat: the log has become shorter")

// renew makes the chat live for ttl from now, puts entry behind the others
// unless it is nil, and returns the entries behind position after.
func (l log) renew(ctx context.Context, chatID string, entry []byte, after int64) ([]string, error) {
	expire := l.expire(ctx, chatID)
	entries := redis.NewStringSliceCmd(ctx, "lrange", key(chatID), after, -1)
	cmds := []redis.Cmder{expire, entries}
	if entry != nil {
		cmds = []redis.Cmder{redis.NewIntCmd(ctx, "rpushx", key(chatID), entry), expire, entries}
	}
	if err := l.do(ctx, cmds...); err != nil {
		return nil, err
	}
	if !expire.Val() {
		return nil, errGone
	}
	return entries.Val(), nil
}

// keep makes chats live for ttl from now and returns those that are gone.
func (l log) keep(ctx context.Context, chatIDs []string) (gone []string, err error) {
	for ids := range slices.Chunk(chatIDs, pieceSize) {
		cmds := make([]redis.Cmder, len(ids))
		for i, id := range ids {
			cmds[i] = l.expire(ctx, id)
		}
		if err := l.do(ctx, cmds...); err != nil {
			return nil, err
		}
		for i, id := range ids {
			if !cmds[i].(*redis.BoolCmd).Val() {
				gone = append(gone, id)
			}
		}
	}
	return gone, nil
}

// rest returns how long each chat still lives: 0 if it is gone.
func (l log) rest(ctx context.Context, chatIDs []string) ([]time.Duration, error) {
	rest := make([]time.Duration, 0, len(chatIDs))
	for ids := range slices.Chunk(chatIDs, pieceSize) {
		cmds := make([]redis.Cmder, len(ids))
		for i, id := range ids {
			cmds[i] = redis.NewIntCmd(ctx, "pttl", key(id))
		}
		if err := l.do(ctx, cmds...); err != nil {
			return nil, err
		}
		for _, cmd := range cmds {
			switch ms := cmd.(*redis.IntCmd).Val(); {
			case ms == -1: // an append was cut off before it could renew
				rest = append(rest, l.ttl)
			case ms < 0:
				rest = append(rest, 0)
			default:
				rest = append(rest, time.Duration(ms+1)*time.Millisecond)
			}
		}
	}
	return rest, nil
}

// pieceSize is how many commands go into one call of the store.
const pieceSize = 500
