package broker

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// Bounds of outgoing signals.
const (
	maxSignals = 16384 // that wait to be sent
	// maxSignalBytes bounds them, too.
	maxSignalBytes = 4 << 20
	// signalPause is how long signals are collected. Nobody notices it, and sending them
	// together costs a fraction.
	signalPause = 20 * time.Millisecond
	// signalBatch is how many are sent at a time, so that a publication waits for no more than
	// these. Further ones follow after batchPause.
	signalBatch = 256
	batchPause  = 5 * time.Millisecond
	// signalTimeout bounds sending one batch.
	signalTimeout = time.Second
)

// outbox sends signals in batches, from a goroutine that only exists while signals wait.
type outbox struct {
	send    func(ctx context.Context, batch []signal) error
	ctx     context.Context // ends a send in progress
	wg      *sync.WaitGroup // counts the goroutine; not waited for before close
	metrics *metrics

	mu      sync.Mutex
	waiting []signal
	bytes   int
	running bool
	closed  bool
}

type signal struct {
	topic   string
	payload []byte
}

// put queues a copy of the payload. If there is no room, it replaces the oldest signal.
func (o *outbox) put(topic string, payload []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	for len(o.waiting) >= maxSignals || o.bytes+len(payload) > maxSignalBytes {
		o.shift()
		o.metrics.signalsDropped.Inc()
	}
	o.waiting = append(o.waiting, signal{topic, bytes.Clone(payload)})
	o.bytes += len(payload)
	if !o.running {
		o.running = true
		o.wg.Go(o.run)
	}
	return nil
}

func (o *outbox) shift() {
	o.bytes -= len(o.waiting[0].payload)
	o.waiting[0] = signal{}
	o.waiting = o.waiting[1:]
}

func (o *outbox) run() {
	pause := signalPause
	for {
		select {
		case <-time.After(pause):
		case <-o.ctx.Done():
		}
		batch, more := o.next()
		if pause = signalPause; more {
			pause = batchPause
		}
		if len(batch) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(o.ctx, signalTimeout)
		err := o.send(ctx, batch)
		cancel()
		if err != nil {
			o.metrics.signalsDropped.Add(float64(len(batch) + o.drop()))
			continue
		}
		o.metrics.signalsSent.Add(float64(len(batch)))
	}
}

// next takes the next batch, and reports whether there is another full one. An empty batch ends the
// goroutine.
func (o *outbox) next() (batch []signal, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(o.waiting), signalBatch)
	batch = o.waiting[:n:n]
	for _, s := range batch {
		o.bytes -= len(s.payload)
	}
	if o.waiting = o.waiting[n:]; n == 0 {
		o.waiting, o.running = nil, false // an idle outbox is small
	}
	return batch, len(o.waiting) >= signalBatch
}

// drop drops all waiting signals, which would come too late, and returns their number.
func (o *outbox) drop() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.waiting)
	o.waiting, o.bytes = nil, 0
	return n
}

func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.drop()
}

// listener is a listener to signals as a Handler. Its Gap is called when the connection has the topic,
// for the first time or again.
type listener struct {
	f      func(payload []byte)
	stands func() // may be nil
}

func (l listener) Message(payload []byte) { l.f(payload) }

func (l listener) Gap() {
	if l.stands != nil {
		l.stands()
	}
}
