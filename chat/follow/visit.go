package follow

import (
	"context"
	"errors"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"github.com/redis/go-redis/v9"
)

// tailPiece is how many entries are read at once.
const tailPiece = 256

// visiting is a chat that a worker visits.
type visiting struct {
	*fold
	progress
	chatID string
	until  int64    // end of the lease
	noted  progress // as saved in the store
	saved  time.Time
	look   bool // the visit checks whether the listener is back
	more   bool // there are new entries; belongs to told
	begun  bool // the log was read at least once
	ended  bool // the log is that of an ended chat
	whole  bool // the ended log is read from its beginning
	left   bool // the log is that of a left message, not of a chat
}

// visit sends a chat's new events to the listener.
func (t *tail) visit(ctx context.Context, v *visiting) {
	err := t.catchUp(ctx, v)
	switch {
	case err == nil:
		return
	case errors.Is(err, errLeaseLost):
		return
	case ctx.Err() == nil && !errors.Is(err, ErrStopped):
		t.cfg.Log.Debug("cannot send the events of a chat", "to", t.listener.Name(), "chat", wire.ShortID(v.chatID), "error", err)
	}
	// Release the chat, so that another process, or this one, can try again soon.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastNews)
	defer cancel()
	at := t.cfg.DB.Now().UnixMilli()
	if ctx.Err() == nil {
		at += sweepEvery.Milliseconds()
	}
	_ = t.save(back, v, log.PutOff(back, t.due, v.chatID, v.until, at))
}

// catchUp reads the log to its end and sends its events. Then it removes the chat from the
// list; if a try fails, the chat stays there for the next one.
func (t *tail) catchUp(ctx context.Context, v *visiting) error {
	for {
		entries, err := t.read(ctx, v)
		if err != nil {
			return err
		}
		if entries == nil { // the chat is gone
			return t.store(ctx, func(ctx context.Context) error { return t.do(ctx, t.out(ctx, v)) })
		}
		for _, entry := range entries {
			done, err := t.apply(ctx, v, entry)
			if err != nil || !done {
				return err
			}
			if v.strays() {
				break
			}
		}
		if v.strays() || len(entries) < tailPiece && v.cursor > v.last {
			// The store has lost the end of the log since. The listener drops the events that it has.
			*v.fold, v.progress = fold{}, progress{}
			continue
		}
		if len(entries) == tailPiece || t.told.more(v) {
			continue
		}
		return t.leave(ctx, v)
	}
}

func (t *tail) store(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return f(ctx)
}

// read returns the next entries of the log, nil if the log is gone.
func (t *tail) read(ctx context.Context, v *visiting) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for {
		from := max(0, v.last-1) // includes the last entry, to check that it is the same log
		name := t.listener.Name()
		saved := redis.NewSliceCmd(ctx, "hmget", t.cursorKey(v.chatID), name, name+":tries", name+":past")
		living := redis.NewStringSliceCmd(ctx, "lrange", t.cfg.Logs.Key(v.chatID), from, v.last+tailPiece-1)
		if err := t.do(ctx, saved, living); err != nil {
			return nil, err
		}
		entries := living.Val()
		if v.ended = len(entries) == 0; v.ended {
			ended := redis.NewStringSliceCmd(ctx, "lrange", t.cfg.Logs.EndedKey(v.chatID), from, v.last+tailPiece-1)
			if err := t.do(ctx, ended); err != nil {
				return nil, err
			}
			entries = ended.Val()
			v.ended = len(entries) > 0
		}
		first := !v.begun
		if first {
			v.begun = true
			v.progress = progressOf(saved.Val())
			v.noted = v.progress
		}
		switch {
		case v.last > 0 && (len(entries) == 0 || entries[0] != v.entry):
			// The log has expired, or the store has lost its end, or the remembered
			// registration was replaced.
			*v.fold, v.begun = fold{}, false
			continue
		case first && (v.cursor < v.last || v.strays()): // the cursor was not saved, or the store has lost it
			*v.fold = fold{}
			continue
		case v.ended && !v.whole && v.last > 0: // now all of it is compared with the cursor
			*v.fold, v.whole = fold{}, true
			continue
		case v.last > 0:
			return append([]string{}, entries[1:]...), nil
		case len(entries) == 0:
			return nil, nil
		}
		v.whole = v.ended
		return entries, nil
	}
}

// apply folds the next entry and sends its events. done is false if that has failed and is
// retried later.
func (t *tail) apply(ctx context.Context, v *visiting, entry string) (done bool, err error) {
	e := log.Decode([]byte(entry))
	before, messages := v.state.Support, len(v.state.Messages)
	outcome := v.state.Apply(e)
	v.last++
	v.entry, v.past = entry, v.past.Then(v.last, entry)
	v.left = v.last == 1 && e.Kind == log.Left
	if outcome != log.Applied && !v.left {
		return true, nil
	}
	defer func() {
		if n := len(v.state.Messages); n > messages {
			v.state.Messages[n-1].Content = "" // not needed any longer
		}
	}()
	if v.last <= v.cursor {
		return true, nil
	}
	at := v.state.Time()
	if v.left {
		at = e.At
	}
	events := t.listener.Events(Entry{v.chatID, v.last, v.past, e, &v.state, before, at})
	if len(events) == 0 {
		return true, nil
	}
	for _, event := range events {
		if err := t.hold(ctx, v); err != nil {
			return false, err
		}
		err := t.send(ctx, v, event)
		if err == nil {
			continue
		}
		if ctx.Err() != nil || errors.Is(err, ErrStopped) {
			return false, err
		}
		if at := t.nextTry(ctx, v, event, err); at > 0 {
			return false, t.putOff(ctx, v, at)
		}
		t.news.metrics.dropped.Inc()
		t.cfg.Log.Error("dropped an event", "receiver", t.listener.Name(), "event", event.ID, "error", err)
	}
	v.progress = progress{v.last, 0, v.past}
	if time.Since(v.saved) > saveEvery {
		return true, t.store(ctx, func(ctx context.Context) error { return t.save(ctx, v) })
	}
	return true, nil
}
