package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gobwas/ws"
)

// load is a test at work: its connections and what they have in common.
type load struct {
	options  common
	start    time.Time // of the test; messages carry times since then
	sources  sources
	http     *http.Client
	progress *progress // nil without a terminal

	readers sync.WaitGroup
	gaps    latencies // between two heartbeats of a connection
	pings   atomic.Int64
	ending  atomic.Bool // the connections are being closed by us
	mu      sync.Mutex
	sockets []*socket
	cut     map[string]int // connections that ended before, by reason
	refused map[string]int // requests that got an Error, by code
}

func newLoad(options common) *load {
	l := &load{
		options: options,
		start:   time.Now(),
		gaps:    newLatencies(),
		cut:     map[string]int{},
		refused: map[string]int{},
	}
	l.http = &http.Client{Transport: &http.Transport{
		DialContext:         l.sources.dial,
		MaxIdleConnsPerHost: options.Openers,
		TLSHandshakeTimeout: setupTimeout,
	}}
	return l
}

// since is a moment in microseconds of the test.
func (l *load) since(t time.Time) int64 { return t.Sub(l.start).Microseconds() }

func (l *load) opened(s *socket) {
	l.mu.Lock()
	l.sockets = append(l.sockets, s)
	l.mu.Unlock()
}

// follow reads a socket in a goroutine of its own and hands the messages over,
// until its connection ends.
func (l *load) follow(s *socket, hear func(text []byte)) {
	l.readers.Go(func() {
		for {
			text, err := s.next()
			if err != nil {
				l.noteEnd(err)
				return
			}
			hear(text)
		}
	})
}

func (l *load) noteEnd(err error) {
	if l.ending.Load() {
		return
	}
	l.mu.Lock()
	l.cut[endReason(err)]++
	l.mu.Unlock()
}

// endReason is why a connection ended, in words that are the same for all of them.
func endReason(err error) string {
	var network *net.OpError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "end of the connection without a close frame"
	case errors.As(err, &network):
		return network.Op + ": " + network.Err.Error() // without the ports
	}
	return err.Error()
}

// cuts is how many connections ended before they should.
func (l *load) cuts() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, count := range l.cut {
		n += count
	}
	return n
}

func (l *load) noteRefusal(code string) {
	l.mu.Lock()
	l.refused[code]++
	l.mu.Unlock()
}

var goodbye = clientFrame(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))

// close ends all connections and joins their readers.
func (l *load) close() {
	if l.ending.Swap(true) {
		return
	}
	l.mu.Lock()
	sockets := l.sockets
	l.mu.Unlock()
	for _, s := range sockets {
		s.conn.SetWriteDeadline(time.Now().Add(time.Second))
		s.conn.Write(goodbye)
		s.conn.Close()
	}
	l.readers.Wait()
	l.http.CloseIdleConnections()
}

// each calls open for 0 to n-1, so many at a time as the options say, until one
// fails or ctx ends. It returns the first error, which is not ctx's.
func (l *load) each(ctx context.Context, n int, open func(ctx context.Context, i int) error) error {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var turn atomic.Int64
	var workers sync.WaitGroup
	for range min(l.options.Openers, n) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(turn.Add(1)) - 1
				if i >= n {
					return
				}
				if err := open(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	if outer.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// pace calls do for 0 to n-1, each when it is due: rate a second from start on.
// What is late is called at once, so that a slow server gets no less load. It
// returns early when ctx ends.
func pace(ctx context.Context, start time.Time, rate float64, n int, do func(i int, due time.Time)) {
	for i := range n {
		due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		for wait := time.Until(due); wait > 0 && ctx.Err() == nil; wait = time.Until(due) {
			pause(min(wait, 20*time.Millisecond)) // to notice the end of ctx
		}
		if ctx.Err() != nil {
			return
		}
		do(i, due)
	}
}

// planned is how many events a rate, a time and a bound make; 0 is no bound.
func planned(rate float64, duration time.Duration, bound int) int {
	n := max(1, int(rate*duration.Seconds()))
	if bound > 0 {
		n = min(n, bound)
	}
	return n
}

// eventually waits until the condition holds, for at most d.
func eventually(ctx context.Context, d time.Duration, holds func() bool) bool {
	for deadline := time.Now().Add(d); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return false
		}
	}
	return true
}

// wait lets time pass, until ctx ends at the latest.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// latencies is a histogram of durations with three digits. It may be used
// concurrently.
type latencies struct {
	mu        *sync.Mutex
	histogram *hdrhistogram.Histogram // of microseconds
}

const longestLatency = int64(10 * time.Minute / time.Microsecond)

func newLatencies() latencies {
	return latencies{new(sync.Mutex), hdrhistogram.New(1, longestLatency, 3)}
}

func (l latencies) record(d time.Duration) { l.recordMicros(d.Microseconds()) }

func (l latencies) recordMicros(us int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.histogram.RecordValue(min(max(us, 1), longestLatency)) // which is in range
}

// Percentiles are a histogram in short, in milliseconds.
type Percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50Ms"`
	P90   float64 `json:"p90Ms"`
	P99   float64 `json:"p99Ms"`
	P999  float64 `json:"p999Ms"`
	Max   float64 `json:"maxMs"`
}

func (l latencies) percentiles() Percentiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := func(q float64) float64 { return float64(l.histogram.ValueAtQuantile(q)) / 1000 }
	return Percentiles{l.histogram.TotalCount(), at(50), at(90), at(99), at(99.9), float64(l.histogram.Max()) / 1000}
}
