package backend

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// quietFor is how often one warning is told.
	quietFor = time.Minute
	// maxQuiet bounds the different warnings that are kept apart. Their texts are
	// constants, so there are far fewer.
	maxQuiet = 1000
)

// quiet passes on each warning once a minute at most, however often it is logged:
// at once the first time, then with how many there were, the last of them. What
// tells a warning from another is its text; what else is with it may change. Other
// levels pass.
type quiet struct {
	slog.Handler
	told *told
}

// told is what a quiet handler shares with those made from it.
type told struct {
	every time.Duration

	mu     sync.Mutex
	closed bool
	recent map[string]*repeated // by text
}

// repeated is a warning that was told within the last minute, and what has come
// since.
type repeated struct {
	times   int
	last    slog.Record
	handler slog.Handler // of the last
	timer   *time.Timer
}

func newQuiet(h slog.Handler) quiet {
	return quiet{h, &told{every: quietFor, recent: make(map[string]*repeated)}}
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if r.Level != slog.LevelWarn || !q.told.again(q.Handler, r) {
		return q.Handler.Handle(ctx, r)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs), q.told}
}

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name), q.told} }

// again reports whether r repeats what was told within the last minute, and keeps
// it then.
func (t *told) again(h slog.Handler, r slog.Record) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.recent[r.Message]; before != nil {
		before.times++
		before.last, before.handler = r.Clone(), h
		return true
	}
	if !t.closed && len(t.recent) < maxQuiet {
		t.recent[r.Message] = &repeated{timer: time.AfterFunc(t.every, func() { t.due(r.Message) })}
	}
	return false
}

// due tells what has come since a warning was told, or forgets the warning.
func (t *told) due(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch r := t.recent[text]; {
	case t.closed:
	case r.times == 0:
		delete(t.recent, text)
	default:
		r.tell()
		r.timer.Reset(t.every)
	}
}

// tell passes on the last of the warnings that have been kept.
func (r *repeated) tell() {
	if r.times > 1 {
		r.last.AddAttrs(slog.Int("times", r.times))
	}
	_ = r.handler.Handle(context.Background(), r.last) // as slog.Logger, which drops it too
	r.times = 0
}

// close tells what is left. Afterwards everything passes.
func (t *told) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for text, r := range t.recent {
		r.timer.Stop()
		if r.times > 0 {
			r.tell()
		}
		delete(t.recent, text)
	}
}
