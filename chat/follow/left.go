package follow

import (
	"context"
	"fmt"
	"time"

	"livesupport/chat/log"

	"github.com/redis/go-redis/v9"
)

// leftAfter is when listeners get a left message whose process died before it reported the
// result of keep. It is longer than keep takes.
const leftAfter = 10 * time.Second

// Left calls keep, which stores a left message, and sends the message to the listeners. Before
// that it writes the message to the store, as a log of one entry, so that a crash in between
// loses nothing. If keep fails, Left returns its error and sends nothing. content is a JSON
// object.
func (f *Follower) Left(ctx context.Context, messageID string, content []byte, keep func(context.Context) error) error {
	if f.news == nil {
		return keep(ctx)
	}
	if err := f.cfg.DB.AwaitTime(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	now := f.cfg.DB.Now()
	e := log.Event{Kind: log.Left, ID: messageID, At: now.UnixMicro(), Content: string(content)}
	key := f.cfg.Logs.EndedKey(messageID)
	list := func(at time.Time, how ...any) error {
		var cmds []redis.Cmder
		for _, t := range f.tails {
			line := append([]any{"zadd", t.due}, how...)
			cmds = append(cmds, redis.NewIntCmd(ctx, append(line, at.UnixMilli(), messageID)...))
		}
		return f.do(ctx, cmds...)
	}
	err := f.do(ctx, redis.NewIntCmd(ctx, "rpush", key, e.Encode()), redis.NewBoolCmd(ctx, "pexpire", key, f.cfg.Logs.Grace().Milliseconds()))
	if err == nil {
		err = list(now.Add(leftAfter))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	if err := keep(ctx); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		_ = f.do(ctx, redis.NewIntCmd(ctx, "del", key)) // a process that finds it gone removes it from the list
		return err
	}
	if list(now, "xx") == nil {
		for _, t := range f.tails {
			t.nudge()
		}
	}
	return nil
}
