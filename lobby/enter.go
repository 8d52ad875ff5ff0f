package lobby

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Entries are put behind those of a log, a list of the store, in the same step as a
// change of the queue that follows from them. The change is made only if the log was as
// long as believed: then whoever appends knows what the entries come to.
//
// Where the store keeps the log apart from the queue, as a Cluster does, the entries are
// put first and the change is made afterwards.
type Entries struct {
	Log   string        // the list's key; it must be there
	Life  time.Duration // how long the log lives then
	After int64         // how long it is believed to be
	New   [][]byte
	// Before is executed in the same round, if there is anything.
	Before []redis.Cmder
}

func (e *Entries) length() int64 { return e.After + int64(len(e.New)) }

// args are those of the script's append.
func (e *Entries) args() []any {
	args := append(make([]any, 0, 2+len(e.New)), e.After, e.Life.Milliseconds())
	for _, entry := range e.New {
		args = append(args, entry)
	}
	return args
}

// put puts the entries where the log is, and returns its length.
func (q *Queue) put(ctx context.Context, e *Entries) (int64, error) {
	line := []any{"rpushx", e.Log}
	for _, entry := range e.New {
		line = append(line, entry)
	}
	push := redis.NewIntCmd(ctx, line...)
	cmds := append(e.Before, push, redis.NewBoolCmd(ctx, "pexpire", e.Log, e.Life.Milliseconds()))
	if err := q.cfg.DB.Do(ctx, cmds...); err != nil {
		return 0, err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return 0, err
		}
	}
	return push.Val(), nil
}

// together runs an operation on the queue and the log, false if the store keeps them
// apart.
func (q *Queue) together(ctx context.Context, e *Entries, operation string, args ...any) (parts []any, ok bool, err error) {
	if q.cfg.DB.Cluster() {
		q.apart.Store(true)
	}
	if q.apart.Load() {
		return nil, false, nil
	}
	r, err := q.call(ctx, e.Before, e.Log, operation, append(args, e.args()...)...)
	switch {
	case redis.HasErrorPrefix(err, "CROSSSLOT"):
		q.apart.Store(true)
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	parts, ok = r.result.([]any)
	if !ok || len(parts) != 2 {
		return nil, false, errReply
	}
	return parts, true, nil
}

// Enter is Add for a user of whom the log is to say something first. length is the log's
// then, 0 if it is not there, and entered whether the user is in the queue.
func (q *Queue) Enter(ctx context.Context, u User, e Entries) (length int64, entered bool, err error) {
	record, err := u.record()
	if err != nil {
		return 0, false, err
	}
	parts, ok, err := q.together(ctx, &e, "enter", u.ChatID, u.UserID, u.public(), u.Messages, record, u.Since, u.Team)
	switch {
	case err != nil:
		return 0, false, err
	case ok:
		length, _ = parts[0].(int64)
		return length, parts[1] == int64(1), nil
	}
	if length, err = q.put(ctx, &e); err != nil || length == 0 || length != e.length() {
		return length, false, err
	}
	if err := q.Add(ctx, u); err != nil {
		return 0, false, err
	}
	return length, true, nil
}

// News is what a topic is told of what has happened to a chat.
type News struct {
	Topic   string
	Payload []byte
}

// Taking is what has come of Take.
type Taking struct {
	Length int64 // of the log then, 0 if it is not there
	Lost   bool  // somebody else has claimed the user: nothing has been done
	Taken  bool  // as by Taken
	Told   bool  // the news has been published
}

// Take is Reserve for the agent, if the support is one, and Taken of what the entries
// say. The news is published behind that, where the broker is in the store.
func (q *Queue) Take(ctx context.Context, h Held, e Entries, news *News) (Taking, error) {
	var channel, payload any = "", ""
	if news != nil && q.channel != "" {
		channel, payload = q.cfg.DB.Key(news.Topic), news.Payload
	}
	parts, ok, err := q.together(ctx, &e, "take", h.ChatID, h.UserID, h.SupportID, h.Agent, h.record(),
		q.cfg.ClaimTTL.Milliseconds(), channel, payload)
	if err != nil {
		return Taking{}, err
	}
	if !ok {
		return q.takeApart(ctx, h, e)
	}
	var t Taking
	t.Length, ok = parts[0].(int64)
	if !ok {
		return Taking{}, errReply
	}
	if t.Length < 0 {
		return Taking{Lost: true}, nil
	}
	if holder, ok := parts[1].(string); ok {
		t.Taken, t.Told = true, channel != ""
		q.holds(h, holder)
	}
	return t, nil
}

// takeApart is Take in steps.
func (q *Queue) takeApart(ctx context.Context, h Held, e Entries) (t Taking, err error) {
	if h.Agent != "" {
		free, err := q.Reserve(ctx, h.ChatID, h.UserID, h.Agent)
		if err != nil || !free {
			return Taking{Lost: !free}, err
		}
	}
	t.Length, err = q.put(ctx, &e)
	return t, err
}
