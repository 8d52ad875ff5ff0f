package web

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"livesupport/lobby/wire"

	"github.com/gobwas/ws"
)

// hub owns the sockets of one server: their goroutines, and one heartbeat for
// all of them.
type hub struct {
	idle    time.Duration
	limit   int           // sockets at once
	flow    flow          // what may come from each
	start   time.Time     // origin of clock
	spread  time.Duration // over which shutdown closes the sockets
	log     *slog.Logger
	metrics metrics
	warned  atomic.Int64 // clock when the log was last told that sockets are refused
	stop    chan struct{}
	ended   sync.WaitGroup // sockets, their writers, the heartbeat

	perAddress int // sockets at once of one address; 0 for any number

	crew      crew         // goroutines for sockets that are new
	parking   *parking     // where idle sockets wait; nil: each keeps a goroutine
	parkAfter int          // so many pongs in a row
	parked    atomic.Int64 // sockets that were parked, each counted once
	free      func()       // returns memory to the system

	mu     sync.Mutex
	closed bool
	count  int
	came   int64        // sockets until now
	counts socketCounts // empty unless perAddress is set
	beat   heartbeat
}

var pingFrame = frame(ws.OpText, []byte("ping"))

// newHub starts a heartbeat that sends every socket a ping each interval, unless it
// chooses otherwise, and closes those from which nothing has come for longer than
// idle although they have been pinged. It takes limit sockets at once, of one address
// perAddress unless that is 0. parkAfter is Options.ParkAfter.
func newHub(interval, idle time.Duration, limit, perAddress, parkAfter int) *hub {
	h := &hub{
		idle:    idle,
		limit:   limit,
		start:   time.Now(),
		log:     slog.New(slog.DiscardHandler),
		metrics: newMetrics(""),
		stop:    make(chan struct{}),

		perAddress: perAddress,
		counts:     socketCounts{},
		beat:       newHeartbeat(interval),
		parkAfter:  parkAfter,
		free:       debug.FreeOSMemory,
	}
	if parkAfter == 0 {
		h.parkAfter = 2 // nothing else for one heartbeat
	}
	if parkAfter >= 0 {
		h.parking = newParking()
	}
	h.ended.Go(h.keepBeating)
	return h
}

// clock is a monotonic time in nanoseconds.
func (h *hub) clock() int64 { return int64(time.Since(h.start)) }

// upgraded is a connection that is a WebSocket from now on.
type upgraded struct {
	conn  net.Conn
	head  []byte         // the response to its request, if that is still to be sent
	early []byte         // what the client has sent already
	from  netip.Addr     // where the client is, if sockets are counted by that
	agent *wire.Identity // of a verified agent, who stays no longer than their token counts
}

// open takes a connection over and serves it. connect makes the session.
func (h *hub) open(u upgraded, connect func(wire.Peer) session) {
	s := &Socket{hub: h, conn: u.conn, raw: rawConn(u.conn)}
	if u.agent != nil {
		s.expires = u.agent.Expires.Unix()
	}
	s.noteHeard()
	s.session = connect(s)
	s.Queue(append(u.head, pingFrame...)) // one write for both
	if refusal := h.add(s, u.from); refusal != nil {
		switch refusal {
		case errFull:
			h.refuse()
		case errCrowded:
			h.metrics.denied.WithLabelValues(socketsPerAddress).Inc()
		}
		s.Close(refusal.code, refusal.reason)
		u.conn.Close()
		s.session.Closed()
		return
	}
	h.crew.serve(newcomer{s, u.early})
}

// full reports whether no more sockets are taken at present.
func (h *hub) full() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count >= h.limit
}

// refuse notes that a socket was not taken, in the log once a minute.
func (h *hub) refuse() {
	h.metrics.refused.Inc()
	now := h.clock()
	if last := h.warned.Load(); (last == 0 || now-last > int64(time.Minute)) && h.warned.CompareAndSwap(last, now) {
		h.log.Warn("refusing sockets: MAX_SOCKETS is reached", "limit", h.limit)
	}
}

// crowded reports whether an address has as many sockets as it may.
func (h *hub) crowded(from netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.perAddress > 0 && h.counts.of(from) >= h.perAddress
}

// Why a socket is not taken that was let through to the upgrade: others were
// faster.
var (
	errEnding  = &violation{wire.CloseAway, "server shutting down"}
	errFull    = &violation{wire.CloseTryLater, "the server is full"}
	errCrowded = &violation{wire.CloseTryLater, "too many connections from this network"}
)

// add takes a socket in, or returns why not.
func (h *hub) add(s *Socket, from netip.Addr) *violation {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return errEnding
	case h.count >= h.limit:
		return errFull
	case h.perAddress > 0 && h.counts.of(from) >= h.perAddress:
		return errCrowded
	}
	if h.perAddress > 0 {
		s.from = h.counts.add(from)
	}
	h.ended.Add(1)
	h.count++
	h.came++
	h.metrics.opened.Inc()
	h.beat.add(s)
	return nil
}

func (h *hub) remove(s *Socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beat.remove(s)
	h.count--
	h.counts.remove(s.from)
}

// choose sets how often a socket that is open gets its ping; 0 is the server's own
// interval.
func (h *hub) choose(s *Socket, interval time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beat.choose(s, interval)
}

func (h *hub) keepBeating() {
	ticker := time.NewTicker(h.beat.tick)
	defer ticker.Stop()
	var turns []beatTurn
	var burst burst
	for {
		select {
		case <-ticker.C:
		case <-h.stop:
			return
		}
		h.mu.Lock()
		turns = h.beat.next(turns[:0])
		count, came, secondOver := h.count, h.came, h.beat.now%int64(len(h.beat.slots)) == 0
		h.mu.Unlock()
		h.take(turns, time.Now(), h.clock())
		clear(turns)
		if secondOver && burst.over(came, h.parked.Load(), count) {
			h.returnMemory()
		}
	}
}

// take gives sockets their turn: a ping, or the end if it is time for that.
func (h *hub) take(turns []beatTurn, now time.Time, clock int64) {
	for _, s := range turns {
		switch {
		case clock-s.heard.Load() > int64(max(h.idle, s.patience)):
			s.Close(wire.CloseNormal, "nothing was heard for too long")
		case s.expires != 0 && now.Unix() >= s.expires:
			s.Queue(TextFrame(errExpired.Payload("")))
			s.Close(wire.ClosePolicy, "the token has expired")
		case s.session.Overdue(now):
			if !s.isClosing() {
				h.metrics.unjoined.Inc()
			}
			s.Close(wire.ClosePolicy, "no Join in time")
		case s.ping:
			s.Queue(pingFrame)
			s.Flush()
		}
	}
}

// all returns the sockets that are open.
func (h *hub) all() []*Socket {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*Socket, 0, h.count)
	for _, slot := range h.beat.slots {
		out = append(out, slot...)
	}
	return out
}

// shutdown closes every socket with 1001, spread over some time lest the clients
// come back to the other servers all at once, and waits for their ends; when ctx
// ends first, their connections are cut.
func (h *hub) shutdown(ctx context.Context) error {
	h.mu.Lock()
	first := !h.closed
	h.closed = true
	h.mu.Unlock()
	sockets := h.all()
	begun := time.Now()
	for i, s := range sockets {
		due := time.Until(begun.Add(h.spread * time.Duration(i) / time.Duration(len(sockets))))
		if due > time.Millisecond {
			select {
			case <-time.After(due):
			case <-ctx.Done(): // no time any more
			}
		}
		s.Close(wire.CloseAway, "server shutting down")
	}
	if first {
		close(h.stop) // the heartbeat goes on until then
	}
	done := make(chan struct{})
	go func() {
		h.ended.Wait()
		h.crew.close()
		h.parking.close()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, s := range h.all() {
		s.mu.Lock()
		s.sever()
		s.mu.Unlock()
	}
	<-done // the store's timeouts bound what a session still does
	return ctx.Err()
}
