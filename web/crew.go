package web

import "sync"

// crew has goroutines for sockets that are new. What a socket does until its first request
// has been handled needs more stack than goroutines start with. Whoever has done it before
// has that already, and need not make its stack grow step by step once more.
type crew struct {
	mu     sync.Mutex
	idle   []chan newcomer // the last to become idle is the first to be taken
	closed bool
	ended  sync.WaitGroup
}

// newcomer is a new socket with what its client has sent already.
type newcomer struct {
	socket *Socket
	early  []byte
}

// maxIdle is how many goroutines wait for a newcomer.
const maxIdle = 64

// serve has a newcomer served by a goroutine of the crew.
func (c *crew) serve(n newcomer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.idle) - 1
	if last < 0 {
		c.ended.Add(1)
		go c.work(n)
		return
	}
	c.idle[last] <- n // which has room
	c.idle[last] = nil
	c.idle = c.idle[:last]
}

// work serves one newcomer after the other. While the first one is idle, this must fit into
// a small stack, as what it calls; see Socket.read.
func (c *crew) work(n newcomer) {
	var next chan newcomer
	for ok := true; ok; n, ok = <-next {
		n.socket.Flush() // the goroutine that has upgraded it has a small stack
		n.socket.serve(n.socket.reader(n.early))
		n = newcomer{}
		if next = c.wait(next); next == nil {
			break
		}
	}
	c.ended.Done()
}

// wait makes a goroutine idle, which gets its newcomers from the channel from then on: its
// own, or a new one for its first time. It returns nil if there are idle ones enough.
func (c *crew) wait(own chan newcomer) chan newcomer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= maxIdle {
		return nil
	}
	if own == nil {
		own = make(chan newcomer, 1)
	}
	c.idle = append(c.idle, own)
	return own
}

// close ends the goroutines, once no socket comes any more.
func (c *crew) close() {
	c.mu.Lock()
	c.closed = true
	for _, idle := range c.idle {
		close(idle)
	}
	c.idle = nil
	c.mu.Unlock()
	c.ended.Wait()
}
