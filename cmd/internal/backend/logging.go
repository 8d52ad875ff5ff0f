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
	// maxLogLines and maxLogBytes bound the queue for a slow reader of the log.
	maxLogLines = 4096
	maxLogBytes = 1 << 20
	// logPatience is how long a process that ends waits for that reader.
	logPatience = 500 * time.Millisecond
)

// logWriter writes the log without ever blocking the rest of the program. One goroutine
// writes the lines; lines that do not fit into its queue, or cannot be written, are dropped
// and counted.
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
			Help: "Log lines that were dropped because the log's reader was slow or gone.",
		}),
		ended: make(chan struct{}),
	}
	go w.write()
	return w
}

// Write queues a line and never blocks. It implements io.Writer for a slog.Handler.
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

// Close writes the queued lines and joins the goroutine. It abandons the goroutine if the
// reader does not take the lines within logPatience. Later lines are dropped.
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

// say writes a last line to standard error, and gives up if nobody reads it.
func say(line string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.WriteString(os.Stderr, line+"\n") // there is nowhere else to report it
	}()
	select {
	case <-done:
	case <-time.After(logPatience):
	}
}

// newLogger makes the log. end logs the repeated warnings that it has held back.
func newLogger(cfg Config, out io.Writer) (log *slog.Logger, end func()) {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	var handler slog.Handler = slog.NewTextHandler(out, options)
	if cfg.LogFormat == "json" {
		handler = slog.NewJSONHandler(out, options)
	}
	q := newQuiet(handler)
	return slog.New(q), q.told.close
}
