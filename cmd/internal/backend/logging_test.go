package backend

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// standing is a reader of the log that takes nothing until it is let go.
type standing struct {
	wait chan struct{}
	text bytes.Buffer
}

func (s *standing) Write(p []byte) (int, error) {
	<-s.wait
	return s.text.Write(p)
}

func droppedBy(t *testing.T, w *logWriter) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(w.dropped)
	families, err := registry.Gather()
	require.NoError(t, err)
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

func TestLogWriterKeepsTheOrderAndFlushes(t *testing.T) {
	out := &standing{wait: make(chan struct{})}
	close(out.wait)
	w := newLogWriter(out)
	log, _ := newLogger(Config{LogFormat: "text", LogLevel: slog.LevelInfo}, w)
	for i := range 100 {
		log.Info("line", "n", i)
	}
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	lines := strings.Split(strings.TrimSpace(out.text.String()), "\n")
	require.Len(t, lines, 100)
	for i, line := range lines {
		require.True(t, strings.HasSuffix(line, fmt.Sprint("n=", i)), line)
	}
	require.Zero(t, droppedBy(t, w))
	log.Info("too late")
	require.EqualValues(t, 1, droppedBy(t, w))
}

func TestLogWriterNeverWaitsForItsReader(t *testing.T) {
	out := &standing{wait: make(chan struct{})}
	w := newLogWriter(out)
	const writers, each = 4, 3 * maxLogLines
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					_, _ = w.Write([]byte("a line\n"))
				}
			})
		}
		wg.Wait()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("somebody waits for the log")
	}
	begun := time.Now()
	require.NoError(t, w.Close())
	require.Less(t, time.Since(begun), 10*time.Second)
	close(out.wait) // it goes on after all
	<-w.ended
	written := strings.Count(out.text.String(), "\n")
	require.GreaterOrEqual(t, written, maxLogLines)
	require.EqualValues(t, writers*each, float64(written)+droppedBy(t, w), "written or counted")
}

func TestLogWriterBoundsItsBytes(t *testing.T) {
	out := &standing{wait: make(chan struct{})}
	w := newLogWriter(out)
	long := bytes.Repeat([]byte("x"), maxLogBytes/8)
	for range 100 {
		_, _ = w.Write(long)
	}
	close(out.wait)
	require.NoError(t, w.Close())
	<-w.ended
	require.LessOrEqual(t, out.text.Len(), 2*maxLogBytes)
	require.NotZero(t, out.text.Len())
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestLogWriterSurvivesItsReader(t *testing.T) {
	w := newLogWriter(broken{})
	for range 10 {
		_, err := w.Write([]byte("a line\n"))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.EqualValues(t, 10, droppedBy(t, w))
}
