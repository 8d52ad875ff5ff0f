package backend

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// quietFor is the interval at which a repeated warning is logged.
	quietFor = time.Minute
	// maxQuiet bounds the number of different warnings. Their texts are constants, so there
	// are far fewer.
	maxQuiet = 1000
)

// quiet passes on each warning at most once a minute, however often it is logged. It
// passes on the first one at once, and then once a minute the latest one, with the number
// of repeats. Two warnings are the same if their texts are; their attributes may differ.
// Records of other levels pass.
type quiet struct {
	slog.Handler
	told *told
}

// told is the state that a quiet handler shares with the handlers made from it.
type told struct {
	every time.Duration

	mu     sync.Mutex
	closed bool
	recent map[string]*repeated // by text
}

// repeated is a warning that was logged within the last minute, with its repeats since.
type repeated struct {
	times   int
	last    slog.Record
	handler slog.Handler // of last
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

// again reports whether r repeats a warning of the last minute, and then keeps r.
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

// due logs the repeats of a warning, or forgets the warning if there were none.
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

// tell passes on the latest repeat.
func (r *repeated) tell() {
	if r.times > 1 {
		r.last.AddAttrs(slog.Int("times", r.times))
	}
	_ = r.handler.Handle(context.Background(), r.last) // slog.Logger drops the error, too
	r.times = 0
}

// close logs the repeats that are left. Afterwards everything passes.
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
