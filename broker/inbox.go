package broker

import "sync"

// Bounds of the queue of a slow handler.
const (
	maxWaiting      = 1024
	maxWaitingBytes = 16 << 20
	// maxPassing is the maximum number of waiting signals, of which the newest are kept.
	maxPassing = 64
)

// inbox calls a handler with payloads and gaps, in order and one at a time, from a goroutine that
// only exists while something waits.
type inbox struct {
	handler Handler
	passing bool // of signals: drops the oldest when it is full
	metrics *metrics
	wg      *sync.WaitGroup // counts the goroutine; not waited for before close

	mu      sync.Mutex
	items   [][]byte // nil is a gap
	bytes   int
	running bool
	closed  bool
}

// put queues payload, or a gap if the inbox is full.
func (i *inbox) put(payload []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.metrics.received.Inc()
	if i.passing && len(i.items) >= maxPassing {
		if i.items[0] == nil { // keeps a gap and drops the item after it
			i.bytes -= len(i.items[1])
			i.items[1] = nil
		}
		i.shift()
		i.metrics.signalsDropped.Inc()
	}
	if len(i.items) >= maxWaiting || i.bytes+len(payload) > maxWaitingBytes {
		payload = nil
	} else if payload == nil {
		payload = []byte{}
	}
	i.add(payload)
}

// gap queues a gap.
func (i *inbox) gap() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.add(nil)
}

func (i *inbox) add(item []byte) {
	n := len(i.items)
	if i.closed || item == nil && n > 0 && i.items[n-1] == nil {
		return
	}
	if item == nil && !i.passing {
		i.metrics.gaps.Inc()
	}
	i.items = append(i.items, item)
	i.bytes += len(item)
	if !i.running {
		i.running = true
		i.wg.Go(i.run)
	}
}

func (i *inbox) run() {
	for {
		item, ok := i.next()
		switch {
		case !ok:
			return
		case item == nil:
			i.handler.Gap()
		default:
			i.handler.Message(item)
		}
	}
}

// next takes the oldest item. It returns false to end the goroutine.
func (i *inbox) next() (item []byte, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.items) == 0 {
		i.items, i.running = nil, false // an idle inbox is small
		return nil, false
	}
	item = i.items[0]
	i.shift()
	return item, true
}

// shift removes the oldest item.
func (i *inbox) shift() {
	i.bytes -= len(i.items[0])
	i.items[0] = nil
	i.items = i.items[1:]
}

// close drops the waiting items. It does not wait for a running handler.
func (i *inbox) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	i.items, i.bytes = nil, 0
}
