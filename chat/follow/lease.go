package follow

import (
	"context"
	"errors"
	"time"

	"livesupport/chat/log"

	"github.com/redis/go-redis/v9"
)

const (
	// tailLease is how long a process has a chat. It is renewed between two tries.
	tailLease = SendTimeout + 5*time.Second
	// saveEvery is the maximum time between two saves of a listener's cursor.
	saveEvery = time.Second
)

var errLeaseLost = errors.New("follow: another process has the chat")

// hold renews the lease, so that no other process gets the chat during the next try.
func (t *tail) hold(ctx context.Context, v *visiting) error {
	now := t.cfg.DB.Now().UnixMilli()
	if v.until-now > (SendTimeout + 2*time.Second).Milliseconds() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	until := now + tailLease.Milliseconds()
	renewed := log.Renew(ctx, t.due, v.chatID, v.until, until)
	if err := t.do(ctx, renewed); err != nil {
		return err
	}
	if renewed.Val() == 0 {
		return errLeaseLost
	}
	v.until = until
	return nil
}

// save saves the listener's cursor, together with further commands.
func (t *tail) save(ctx context.Context, v *visiting, more ...redis.Cmder) error {
	cmds, expires := more, false
	if name := t.listener.Name(); v.noted != v.progress {
		cmds = append(cmds, redis.NewIntCmd(ctx, "hset", t.cursorKey(v.chatID), name, v.cursor, name+":tries", v.tries, name+":past", v.of()))
		if expires = time.Since(v.kept) > cursorSlack/4; expires {
			cmds = append(cmds, redis.NewBoolCmd(ctx, "pexpire", t.cursorKey(v.chatID), t.keep()))
		}
	}
	if err := t.do(ctx, cmds...); err != nil {
		return err
	}
	if expires {
		v.kept = time.Now()
	}
	v.noted, v.saved = v.progress, time.Now()
	return nil
}

// leave removes a chat from the list after its log was read to the end.
func (t *tail) leave(ctx context.Context, v *visiting) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	v.progress = progress{v.last, 0, v.past}
	if v.ended {
		names := t.names
		if v.left {
			names = t.news.names
		}
		if err := t.do(ctx, t.finished(ctx, v.chatID, t.listener.Name(), names)); err != nil {
			return err
		}
		return t.do(ctx, t.out(ctx, v))
	}
	out := t.out(ctx, v)
	if err := t.save(ctx, v, out); err != nil {
		return err
	}
	if out.Val() > 0 {
		t.keepFold(v)
	}
	if out.Val() == 2 {
		t.nudge()
	}
	return nil
}

// out removes a chat from the list, unless it has new entries.
func (t *tail) out(ctx context.Context, v *visiting) *redis.IntCmd {
	return log.Leave(ctx, t.due, v.chatID, v.until, t.cfg.DB.Now().UnixMilli())
}
