package backend

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxLogLines and maxLogBytes bound what waits for a slow reader of the log.
	maxLogLines = 4096
	maxLogBytes = 1 << 20
	// logPatience is how long the end of a process waits for that reader.
	logPatience = 500 * time.Millisecond
)

// logWriter keeps the log out of everybody's way: one goroutine writes the lines, and
// what does not fit into its queue, or cannot be written, is dropped and counted.
type logWriter struct {
	out     io.Writer
	lines   chan []byte
	waiting atomic.Int64 // bytes in lines
	dropped prometheus.Counter
	ended   chan struct{}

	mu     sync.RWMutex // held for reading while a line is put into the queue
	closed bool
}

func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{
		out:   out,
		lines: make(chan []byte, maxLogLines),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_log_lines_dropped_total",
			Help: "Lines of the log that were dropped because its reader was slow or gone.",
		}),
		ended: make(chan struct{}),
	}
	go w.write()
	return w
}

// Write takes a line and never waits. It implements io.Writer for a slog.Handler.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	size := int64(len(line))
	if w.closed {
		w.dropped.Inc()
		return len(line), nil
	}
	if w.waiting.Add(size) <= maxLogBytes {
		select {
		case w.lines <- bytes.Clone(line):
			return len(line), nil
		default:
		}
	}
	w.waiting.Add(-size)
	w.dropped.Inc()
	return len(line), nil
}

func (w *logWriter) write() {
	defer close(w.ended)
	for line := range w.lines {
		if _, err := w.out.Write(line); err != nil {
			w.dropped.Inc()
		}
		w.waiting.Add(-int64(len(line)))
	}
}

// Close writes what waits and joins the goroutine. If the reader does not take it
// within logPatience the goroutine is left behind. What is written later is dropped.
func (w *logWriter) Close() error {
	w.mu.Lock()
	closed := w.closed
	w.closed = true
	w.mu.Unlock()
	if !closed {
		close(w.lines)
	}
	select {
	case <-w.ended:
	case <-time.After(logPatience):
	}
	return nil
}

// say writes a last line for whoever started the process, unless nobody reads it.
func say(line string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.WriteString(os.Stderr, line+"\n") // there is nobody else to tell
	}()
	select {
	case <-done:
	case <-time.After(logPatience):
	}
}

// newLogger makes the log, and what tells the rest of what it has kept back.
func newLogger(cfg Config, out io.Writer) (log *slog.Logger, end func()) {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	var handler slog.Handler = slog.NewTextHandler(out, options)
	if cfg.LogFormat == "json" {
		handler = slog.NewJSONHandler(out, options)
	}
	q := newQuiet(handler)
	return slog.New(q), q.told.close
}
