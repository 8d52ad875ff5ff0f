package client

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

const (
	// patience is the longest wait for a connection, for the answer to Join or Load, and
	// for a sign of life.
	patience = 15 * time.Second
	// heartbeat is how often the server is asked to send a ping.
	heartbeat = 10 * time.Second
	// answer is how long the server may take to answer a question that only tests the connection.
	answer = 4 * time.Second
	// The first and the longest pause before a new connection; half of it is random.
	firstPause, longestPause = 500 * time.Millisecond, 10 * time.Second
	// maxEvents is how many events can wait before nothing more is read from the server. A
	// history is one event.
	maxEvents = 1_000
)

// handler is a Chat or a Lobby, from the connection's view. Only the connection's goroutine calls
// its methods.
type handler interface {
	opened() // to send the Join or the Load
	receive(kind string, args json.RawMessage)
	lost()               // the connection will come back
	refused(code string) // the connection will not come back
	behind()             // too many events wait: no call may wait for an answer
	leaving()            // the connection is about to be closed
}

// connection is a WebSocket that reconnects after a loss. One goroutine owns its state and that of
// its handler; other goroutines pass functions to it.
type connection struct {
	url, pong string
	options   Options
	on        handler
	asks      bool // opened may be called again to test the connection

	clock
	calls  chan func()
	events chan Event
	cancel context.CancelFunc
	done   chan struct{} // closed when all goroutines have ended

	waiting  []Event
	failure  error // why the connection has ended; nil after Close
	over     bool
	attempts sync.WaitGroup
	attempt  *attempt
	shown    string // the token of the latest attempt
	losses   int

	accepted bool
	promised bool // a ping will come each heartbeat
	pinged   time.Time
	interval time.Duration // between pings; 0 while unknown
}

// attempt is one attempt to connect and, if it succeeds, the connection.
type attempt struct {
	stop    context.CancelFunc
	arrived chan arrival
	socket  *socket // nil while it is being dialled
}

type arrival struct {
	socket     *socket // it is open
	text, pong []byte
	err        error // it has ended
}

func newConnection(url, pong string, options Options) *connection {
	return &connection{
		url: url, pong: pong, options: options, clock: newClock(),
		calls: make(chan func()), events: make(chan Event), done: make(chan struct{}),
	}
}

// start runs the connection until the context ends or close is called.
func (c *connection) start(ctx context.Context, on handler) {
	c.on = on
	ctx, c.cancel = context.WithCancel(ctx)
	go c.run(ctx)
}

func (c *connection) run(ctx context.Context) {
	defer close(c.done)
	defer close(c.events)
	defer c.cancel()
	defer c.attempts.Wait()
	c.connect(ctx)
	for !c.over || len(c.waiting) > 0 {
		var first Event
		var events chan<- Event
		var arrived <-chan arrival
		if len(c.waiting) > 0 {
			first, events = c.waiting[0], c.events
		}
		if c.attempt != nil && len(c.waiting) < maxEvents {
			arrived = c.attempt.arrived
		}
		c.wait()
		select {
		case <-ctx.Done():
			c.on.leaving()
			c.stop()
			c.on.refused("")
			return
		case events <- first:
			c.waiting[0] = nil
			c.waiting = c.waiting[1:]
		case call := <-c.calls:
			call()
		case a := <-arrived:
			c.take(a)
		case <-c.timer.C:
			c.ring()
		}
		if c.attempt == nil && !c.over && !c.isSet(alarmConnection) {
			c.connect(ctx)
		}
	}
}

// do makes the connection's goroutine call a function. It returns an error if it has not.
func (c *connection) do(ctx context.Context, call func()) error {
	finished := make(chan struct{})
	select {
	case c.calls <- func() { call(); close(finished) }:
		<-finished
		return nil
	case <-c.done:
		return c.reason()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reason returns why the connection has ended.
func (c *connection) reason() error {
	if c.failure != nil {
		return c.failure
	}
	return &Refusal{Code: Closed}
}

// close ends the connection and waits until all goroutines have ended.
func (c *connection) close() {
	c.cancel()
	<-c.done
}

// tell queues an event.
func (c *connection) tell(e Event) {
	c.waiting = append(c.waiting, e)
	if len(c.waiting) == maxEvents {
		c.on.behind()
	}
}

func (c *connection) full() bool { return len(c.waiting) >= maxEvents }

func (c *connection) connect(ctx context.Context) {
	c.accepted, c.promised, c.pinged, c.interval = false, false, time.Time{}, 0
	c.shown = c.options.token()
	ctx, stop := context.WithCancel(ctx)
	a := &attempt{stop: stop, arrived: make(chan arrival)}
	c.attempt = a
	c.set(alarmConnection, patience, func() { c.restart(0) })
	shown := c.shown
	c.attempts.Go(func() { a.run(ctx, c.url, shown, c.options) })
}

// run dials, and then reads until the connection ends.
func (a *attempt) run(ctx context.Context, url, token string, options Options) {
	socket, err := dial(ctx, url, token, options)
	if err == nil && !a.tell(ctx, arrival{socket: socket}) {
		_ = socket.conn.Close()
		return
	}
	for err == nil {
		var next arrival
		if next.text, next.pong, err = socket.read(); err == nil && !a.tell(ctx, next) {
			return
		}
	}
	a.tell(ctx, arrival{err: err})
}

func (a *attempt) tell(ctx context.Context, what arrival) bool {
	select {
	case a.arrived <- what:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *connection) take(a arrival) {
	switch {
	case a.socket != nil:
		c.attempt.socket = a.socket
		c.on.opened()
	case a.err != nil:
		c.ended(a.err)
	case a.pong != nil:
		c.write(ws.NewPongFrame(a.pong))
	default:
		c.frame(a.text)
	}
}

func (c *connection) frame(text []byte) {
	if string(text) == "ping" {
		c.write(ws.NewTextFrame([]byte(c.pong)))
		now := time.Now()
		if !c.pinged.IsZero() {
			c.interval = now.Sub(c.pinged)
		}
		c.pinged = now
		c.expectSign()
		return
	}
	c.expectSign()
	var frame struct {
		Type string
		Args json.RawMessage
	}
	if json.Unmarshal(text, &frame) == nil {
		c.on.receive(frame.Type, frame.Args)
	}
}

// send sends a frame that the server answers, so that a lost frame is noticed by the missing answer.
func (c *connection) send(kind string, args any) {
	frame := struct {
		Type string `json:"type"`
		Args any    `json:"args,omitempty"`
	}{kind, args}
	text, err := json.Marshal(frame)
	if err != nil {
		panic(err) // all of them are types of this package
	}
	c.write(ws.NewTextFrame(text))
}

func (c *connection) write(frame ws.Frame) {
	if c.attempt == nil || c.attempt.socket == nil {
		return
	}
	if c.attempt.socket.write(frame, writeLimit) != nil {
		_ = c.attempt.socket.conn.Close() // its reader notices the end
	}
}

// accept records that the server has answered the Join or Load. The next loss counts as the first.
func (c *connection) accept() {
	c.losses, c.accepted = 0, true
	c.expectSign()
}

// promise records that the server sends its pings at the requested interval.
func (c *connection) promise() {
	c.promised = true
	c.expectSign()
}

// expectSign sets the alarm for the next sign of life, because a connection can die silently. It
// expects signs at the interval of the server's pings. While that is unknown, it asks the server a
// question if the protocol has one.
func (c *connection) expectSign() {
	if !c.accepted || c.attempt == nil {
		return
	}
	c.clear(alarmConnection)
	switch {
	case c.promised, c.interval > 0 && c.interval <= heartbeat*12/10:
		c.set(alarmConnection, patience, func() { c.restart(0) })
	case c.interval > 0: // the server may have its own interval
		c.set(alarmConnection, 3*c.interval, func() { c.restart(0) })
	case c.asks:
		c.set(alarmConnection, patience-answer, func() {
			c.set(alarmConnection, answer, func() { c.restart(0) })
			c.on.opened()
		})
	}
}

// restart gives up this connection and reconnects after a pause.
func (c *connection) restart(least time.Duration) {
	c.drop()
	pause := max(2*least, min(firstPause<<min(c.losses, 10), longestPause))
	c.losses++
	c.set(alarmConnection, pause/2+rand.N(pause/2+1), func() {})
	c.on.lost()
}

func (c *connection) drop() {
	c.clear(alarmConnection)
	if c.attempt == nil {
		return
	}
	c.attempt.stop()
	if c.attempt.socket != nil {
		c.attempt.socket.end()
	}
	c.attempt = nil
}

// stop ends the connection for good. Waiting events can still be read.
func (c *connection) stop() {
	c.drop()
	c.over = true
}

func (c *connection) ended(err error) {
	token := c.options.token()
	code := refusal(err)
	if code == "" || (token != "" && token != c.shown) {
		c.restart(0)
		return
	}
	c.stop()
	c.on.refused(code)
}

// refusal returns the code of a permanent failure, or "".
func refusal(err error) string {
	if ended := (closed{}); errors.As(err, &ended) && ended.code == ws.StatusPolicyViolation {
		return "forbidden"
	}
	var status ws.StatusError
	if !errors.As(err, &status) {
		return ""
	}
	switch int(status) {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "not_found"
	}
	return ""
}
