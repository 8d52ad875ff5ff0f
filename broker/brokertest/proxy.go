package brokertest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Fault does harm to the connections of one client.
type Fault interface {
	// Cut ends all connections, and new ones at once.
	Cut()
	// Stall lets everything vanish that either side sends, on new connections too.
	Stall()
	// Reset ends all connections without a farewell; new ones work.
	Reset()
	// Heal ends Cut and Stall. Connections that have stalled end.
	Heal()
}

// Proxy is a Fault between a client and a server. Its methods may be called
// concurrently.
type Proxy struct {
	listener net.Listener
	upstream string
	ports    map[string]string // in what the server says, by what is put in its place
	wg       sync.WaitGroup    // accept loop and copying

	mu      sync.Mutex
	cut     bool
	stalled bool
	delay   time.Duration         // of new connections, one way
	conns   map[*net.TCPConn]bool // both ends
}

// StartProxy starts a proxy to the server at addr; it ends with the test.
func StartProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start proxy: %v", err)
	}
	p := &Proxy{listener: listener, upstream: addr, conns: make(map[*net.TCPConn]bool)}
	p.start(t)
	return p
}

func (p *Proxy) start(t testing.TB) {
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.Cut()
		p.wg.Wait()
	})
}

// Addr is the proxy's host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut implements Fault. The port stays taken: given back, it might not be free
// any more when it is wanted again.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.reset()
}

// Stall implements Fault.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = true
}

// Reset implements Fault.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset()
}

// Heal implements Fault.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled {
		p.reset()
	}
	p.cut, p.stalled = false, false
}

// Delay puts the server so far away, one way, for new connections; the others end.
// A connection takes a round trip to be made.
func (p *Proxy) Delay(oneWay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = oneWay
	p.reset()
}

// reset ends all connections with RST; p.mu is held.
func (p *Proxy) reset() {
	for conn := range p.conns {
		hangUp(conn)
	}
	clear(p.conns)
}

func hangUp(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // fails only if the peer was faster
	_ = conn.Close()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.DialTimeout("tcp", p.upstream, time.Second)
		if err != nil {
			hangUp(client.(*net.TCPConn))
			continue
		}
		p.join(client.(*net.TCPConn), server.(*net.TCPConn))
	}
}

// join copies between two connections until one ends.
func (p *Proxy) join(client, server *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		hangUp(client)
		hangUp(server)
		return
	}
	for _, pair := range [][2]*net.TCPConn{{client, server}, {server, client}} {
		p.conns[pair[0]] = true
		far := way{delay: p.delay}
		if pair[0] == client { // what it says first waits until the connection is made
			far.open = time.Now().Add(2 * p.delay)
		}
		p.wg.Go(func() { p.copy(pair[0], pair[1], far) })
	}
}

func (p *Proxy) copy(from, to *net.TCPConn, far way) {
	near := gate{p, to}
	var out io.Writer = near
	if p.ports != nil && from.RemoteAddr().String() == p.upstream {
		out = &announcer{to: near, ports: p.ports}
	}
	if far.delay > 0 {
		far.pieces = make(chan piece, 1024)
		var there sync.WaitGroup
		there.Go(func() { far.deliver(near) })
		defer there.Wait()
		defer close(far.pieces)
		out = far
	}
	_, _ = io.Copy(out, onlyReader{from}) // ends with either connection
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range []*net.TCPConn{from, to} {
		_ = conn.Close()
		delete(p.conns, conn)
	}
}

// gate passes bytes on, or drops them while the proxy stalls.
type gate struct {
	proxy *Proxy
	to    *net.TCPConn
}

func (g gate) Write(b []byte) (int, error) {
	g.proxy.mu.Lock()
	stalled := g.proxy.stalled
	g.proxy.mu.Unlock()
	if stalled {
		return len(b), nil
	}
	return g.to.Write(b)
}

// way is one direction of a connection to a server that is far away.
type way struct {
	delay  time.Duration
	open   time.Time // nothing sets out before
	pieces chan piece
}

type piece struct {
	due  time.Time
	data []byte
}

func (w way) Write(b []byte) (int, error) {
	start := time.Now()
	if start.Before(w.open) {
		start = w.open
	}
	w.pieces <- piece{start.Add(w.delay), bytes.Clone(b)}
	return len(b), nil
}

// deliver hands the pieces on until there are no more. After an error the rest is
// dropped.
func (w way) deliver(to io.Writer) {
	var failed error
	for p := range w.pieces {
		if failed == nil {
			time.Sleep(time.Until(p.due))
			_, failed = to.Write(p.data)
		}
	}
}

// onlyReader keeps io.Copy from letting the kernel copy past the gate.
type onlyReader struct{ io.Reader }
