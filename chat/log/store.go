package log

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"livesupport/broker/redisdb"

	"github.com/redis/go-redis/v9"
)

// ErrGone: the chat has expired, or was never there.
var ErrGone = errors.New("log: gone")

// Store reaches the logs in Redis: one list per chat, which lives for the time to
// live after the last append or renewal. A position in a log is the number of entries up
// to and including that one: the registration is at 1. Its methods may be
// called concurrently; all of them may be repeated (see Event.ID).
type Store struct {
	db    *redisdb.DB
	ttl   time.Duration
	grace time.Duration // for which logs outlive their chats; 0 if nobody wants them
}

// NewStore makes a Store whose chats live for ttl. With a grace above zero the logs
// outlive them by that: see End. All servers must agree on both.
func NewStore(db *redisdb.DB, ttl, grace time.Duration) Store { return Store{db, ttl, grace} }

// TTL is how long a chat lives after it has been renewed.
func (s Store) TTL() time.Duration { return s.ttl }

// Part names the part of the store in which a chat's log is: see redisdb.DB.Part.
func (s Store) Part(chatID string) string { return s.db.Part(s.Key(chatID)) }

// Confirmed reports whether replicas confirm what is appended.
func (s Store) Confirmed() bool { return s.db.Replicas() > 0 }

// Life is how long a log lives after its chat has been renewed.
func (s Store) Life() time.Duration { return s.ttl + s.grace }

// Key is where a chat's log is.
func (s Store) Key(chatID string) string { return s.db.Key("chat:{" + chatID + "}") }

func (s Store) expire(ctx context.Context, chatID string) *redis.BoolCmd {
	return s.expireKey(ctx, s.Key(chatID))
}

// expireKey takes the key as the interface value that other commands share:
// converting a string to one allocates.
func (s Store) expireKey(ctx context.Context, key any) *redis.BoolCmd {
	return redis.NewBoolCmd(ctx, "pexpire", key, s.Life().Milliseconds())
}

// do executes commands in a shared pipeline and returns the first error.
func (s Store) do(ctx context.Context, cmds ...redis.Cmder) error {
	if err := s.db.Do(ctx, cmds...); err != nil {
		return err
	}
	return firstError(cmds)
}

func firstError(cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return fmt.Errorf("log: %s: %w", cmd.Name(), err)
		}
	}
	return nil
}

// Create begins a chat with its registration, and what else is known by then.
func (s Store) Create(ctx context.Context, e Event, more ...Event) error {
	push := []any{"rpush", s.Key(e.ChatID), e.Encode()}
	for i := range more {
		push = append(push, more[i].Encode())
	}
	return s.do(ctx, append(s.Remember(ctx, e.ChatID), redis.NewIntCmd(ctx, push...), s.expire(ctx, e.ChatID))...)
}

// Append puts an entry behind the others and calls done with its position: 0 if the
// chat is gone. For the order of several calls see redisdb.DB.Submit. Unless the kind
// is soft it renews the chat. registration, if not nil, takes the place of the first
// entry before that (State.Registration). done must not block.
func (s Store) Append(deadline time.Time, chatID string, kind Kind, entry []byte, registration *Event, done func(seq int64, err error)) {
	ctx := context.Background() // the deadline bounds it
	var key any = s.Key(chatID)
	push := redis.NewIntCmd(ctx, "rpushx", key, entry)
	finish := func(err error) {
		if err == nil {
			err = push.Err()
		}
		done(push.Val(), err)
	}
	switch {
	case kind.Soft() && registration == nil:
		s.db.Submit(deadline, finish, push)
	case kind.Soft():
		s.db.Submit(deadline, finish, redis.NewStatusCmd(ctx, "lset", key, 0, registration.Encode()), push)
	case registration != nil: // of a chat that is gone it fails, and changes nothing
		s.db.Submit(deadline, finish, redis.NewStatusCmd(ctx, "lset", key, 0, registration.Encode()), push, s.expireKey(ctx, key))
	default:
		s.db.Submit(deadline, finish, push, s.expireKey(ctx, key))
	}
}

// KeepFor makes a chat live for d from now.
func (s Store) KeepFor(ctx context.Context, chatID string, d time.Duration) error {
	return s.do(ctx, redis.NewBoolCmd(ctx, "pexpire", s.Key(chatID), (d+s.grace).Milliseconds()))
}

// Try finds out whether an append to a chat would be taken: where the chat's log
// lives, it appends to a list that is not there, which Redis does not make.
func (s Store) Try(ctx context.Context, chatID string) error {
	return s.do(ctx, redis.NewIntCmd(ctx, "rpushx", s.Key(chatID)+":try", ""))
}

// Read returns the entries behind position after.
func (s Store) Read(ctx context.Context, chatID string, after int64) ([]string, error) {
	entries := redis.NewStringSliceCmd(ctx, "lrange", s.Key(chatID), after, -1)
	size := redis.NewIntCmd(ctx, "llen", s.Key(chatID))
	if err := s.do(ctx, entries, size); err != nil {
		return nil, err
	}
	switch {
	case size.Val() == 0:
		return nil, ErrGone
	case size.Val() < after:
		return nil, ErrDiverged
	}
	return entries.Val(), nil
}

// ErrDiverged: the log is shorter than it was. The store has lost its end, for
// instance when a replica that was behind took over.
var ErrDiverged = errors.New("log: the log has become shorter")

// Visit returns the entries behind position after. With renew the chat lives for ttl
// from now.
func (s Store) Visit(ctx context.Context, chatID string, renew bool, after int64) ([]string, error) {
	entries := redis.NewStringSliceCmd(ctx, "lrange", s.Key(chatID), after, -1)
	renewed, size := s.expire(ctx, chatID), redis.NewIntCmd(ctx, "llen", s.Key(chatID))
	cmds := []redis.Cmder{size, entries}
	if renew {
		cmds[0] = renewed
	}
	if err := s.do(ctx, cmds...); err != nil {
		return nil, err
	}
	if !renewed.Val() && size.Val() == 0 {
		return nil, ErrGone
	}
	return entries.Val(), nil
}

// Attend puts the entry of a server that is new to a chat behind the others, and returns
// its position. With renew the chat lives for ttl from now.
func (s Store) Attend(ctx context.Context, chatID string, renew bool, entry []byte) (int64, error) {
	push := redis.NewIntCmd(ctx, "rpushx", s.Key(chatID), entry)
	cmds := append(s.Remember(ctx, chatID), push)
	if renew {
		cmds = append(cmds, s.expire(ctx, chatID))
	}
	if err := s.do(ctx, cmds...); err != nil {
		return 0, err
	}
	if push.Val() == 0 {
		return 0, ErrGone
	}
	return push.Val(), nil
}

// Keep makes chats live for ttl from now and returns those that are gone.
func (s Store) Keep(ctx context.Context, chatIDs []string) (gone []string, err error) {
	for ids := range slices.Chunk(chatIDs, pieceSize) {
		cmds := make([]redis.Cmder, len(ids))
		for i, id := range ids {
			cmds[i] = s.expire(ctx, id)
		}
		if err := s.do(ctx, cmds...); err != nil {
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

// Rest returns how long each chat still lives: 0 if it is gone.
func (s Store) Rest(ctx context.Context, chatIDs []string) ([]time.Duration, error) {
	rest := make([]time.Duration, 0, len(chatIDs))
	for ids := range slices.Chunk(chatIDs, pieceSize) {
		cmds := make([]redis.Cmder, len(ids))
		for i, id := range ids {
			cmds[i] = redis.NewIntCmd(ctx, "pttl", s.Key(id))
		}
		if err := s.do(ctx, cmds...); err != nil {
			return nil, err
		}
		for _, cmd := range cmds {
			switch ms := cmd.(*redis.IntCmd).Val(); {
			case ms == -1: // an append was cut off before it could renew
				rest = append(rest, s.ttl)
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
