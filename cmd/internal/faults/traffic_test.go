package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// counts is what became of messages.
type counts struct {
	sent, acked  int
	refusals     int // with an Error, and sent again
	refusedJoins int
	sockets      int
	lost         int // seen or acknowledged, and not in the history
	doubled      int // shown twice, or twice in the history
	disordered   int // shown in another order than the history's
	skipped      int // not shown between two that were
	missing      int // in the history, and never shown
	unanswered   int // neither receipt nor refusal in time
	slowest      time.Duration

	presences     int // told of the other side
	offlines      int // of these, that it is not there
	presenceTwice int // the same in a row
	receipts      int // told
	marksBack     int // that say less than before, or the same

	closed map[int]int // sockets that the server ended, by close code; -1 without one
	seen   map[string]bool
	faults []string
}

// conversation is a chat with both its sides.
type conversation struct {
	visitor
	world    *world
	interval time.Duration
	talking  *atomic.Bool
	user     *participant
	agent    *participant

	mu        sync.Mutex
	supportID string
	since     map[string]time.Time // when messages were written that have not come across
	again     map[string]bool      // messages that were sent more than once
	delays    []delay
}

// delay is how long a message took to the other side, and when it came.
type delay struct {
	at   time.Time
	took time.Duration
}

func (c *conversation) support() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.supportID
}

func (c *conversation) setSupport(id string) {
	c.mu.Lock()
	c.supportID = id
	c.mu.Unlock()
}

func (c *conversation) note(id string, at time.Time) {
	c.mu.Lock()
	c.since[id] = at
	c.mu.Unlock()
}

func (c *conversation) noteAgain(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.again == nil {
		c.again = map[string]bool{}
	}
	c.again[id] = true
}

// mayHaveMoved reports whether a message may have been shown, lost, sent again, and logged behind others.
func (c *conversation) mayHaveMoved(id string) bool {
	if !c.world.mayLose {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.again[id]
}

func (c *conversation) delivered(id string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since, ok := c.since[id]; ok {
		c.delays = append(c.delays, delay{at, at.Sub(since)})
		delete(c.since, id)
	}
}

// traffic is a number of conversations whose sides talk at a steady rate.
type traffic struct {
	world   *world
	chats   []*conversation
	talking atomic.Bool
	healed  time.Time       // the end of the last fault
	ctx     context.Context // of the clients
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// talk begins the traffic and returns when messages flow in all chats.
func (w *world) talk(s scale) *traffic {
	w.Helper()
	ctx, stop := context.WithCancel(context.Background())
	tr := &traffic{world: w, ctx: ctx, stop: stop}
	w.Cleanup(tr.end)
	tr.talking.Store(true)
	for i := range s.chats {
		c := &conversation{
			visitor: w.register(w.pick(""), fmt.Sprintf("Visitor%d", i)), world: w,
			interval: s.interval, talking: &tr.talking, since: map[string]time.Time{},
		}
		c.user, c.agent = c.side("User"), c.side("Support")
		// A third of the chats has nobody who asks for receipts and presence, a third has
		// one side, a third both.
		c.user.paying, c.agent.paying = i%3 == 1 || i%6 == 2, i%3 == 1 || i%6 == 5
		tr.chats = append(tr.chats, c)
		tr.ended.Go(func() { c.user.run(ctx) })
		tr.ended.Go(func() { c.agent.run(ctx) })
	}
	tr.flows("at the beginning", 15*time.Second)
	return tr
}

// queue adds users who wait, with clients as good as the others'.
func (tr *traffic) queue(n int) []waiter {
	tr.world.Helper()
	var out []waiter
	for i := range n {
		v := tr.world.register(tr.world.pick(""), fmt.Sprintf("Waiting%d", i))
		c := &conversation{visitor: v, world: tr.world, interval: time.Hour, talking: new(atomic.Bool)}
		c.user = c.side("User")
		tr.ended.Go(func() { c.user.run(tr.ctx) })
		out = append(out, waiter{visitor: v})
	}
	return out
}

func (c *conversation) side(role string) *participant {
	return &participant{chat: c, role: role, sends: map[string]int{}, shown: map[string]int{}, counts: counts{seen: map[string]bool{}, closed: map[int]int{}}}
}

// flows waits until a message that was written from now on has come across in
// every chat, in both directions.
func (tr *traffic) flows(when string, within time.Duration) {
	tr.world.Helper()
	type mark struct{ user, agent int }
	marks := make([]mark, len(tr.chats))
	for i, c := range tr.chats {
		marks[i] = mark{c.user.written(), c.agent.written()}
	}
	stuck := func(i int) bool {
		return !tr.chats[i].user.has(marks[i].agent+1) || !tr.chats[i].agent.has(marks[i].user+1)
	}
	if !poll(within, func() bool {
		for i := range tr.chats {
			if stuck(i) {
				return false
			}
		}
		return true
	}) {
		for i, c := range tr.chats {
			if stuck(i) {
				tr.world.Logf("nothing flows in %s: %s, wants %d; %s, wants %d", c.ChatID, c.user, marks[i].agent+1, c.agent, marks[i].user+1)
			}
		}
		tr.world.Fatalf("not within %v: messages flow %s", within, when)
	}
}

// String says how far a participant is.
func (p *participant) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%s on %s, joined %t, has written %d, of which %d wait, and has seen %q; faults %q", p.role, p.addr, p.joined, p.number, len(p.outbox), p.latest, p.faults)
}

func (p *participant) written() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.number
}

// has reports whether a numbered message of the other side, or a later one, has
// been shown.
func (p *participant) has(number int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hasSeen(number)
}

// hasSeen is has for a caller who holds mu.
func (p *participant) hasSeen(number int) bool {
	_, digits, _ := strings.Cut(p.latest, "-")
	latest, _ := strconv.Atoi(digits) // 0 before the first
	return latest >= number
}

// end stops all clients.
func (tr *traffic) end() {
	tr.stop()
	tr.ended.Wait()
}

// settle stops the writing, waits until every message has been acknowledged and
// shown to both sides, reads every chat's history anew, and ends the clients.
func (tr *traffic) settle(within time.Duration) counts {
	tr.world.Helper()
	tr.steady("at the end")
	tr.talking.Store(false)
	settled := poll(within, func() bool {
		for _, c := range tr.chats {
			if !c.quiet() {
				return false
			}
		}
		return true
	})
	tr.end()
	if !settled {
		tr.world.Errorf("not settled within %v", within)
	}
	total := counts{closed: map[int]int{}}
	seen := 0
	for i, history := range tr.histories() {
		c := tr.chats[i]
		if history == nil {
			continue
		}
		every := map[string]bool{}
		for _, p := range []*participant{c.user, c.agent} {
			for id := range p.seen {
				every[id] = true
			}
			p.finish(history)
			total.add(&p.counts)
			if len(p.outbox) > 0 {
				total.unanswered += len(p.outbox)
				total.faults = append(total.faults, fmt.Sprintf("%s of %s: %d never acknowledged, the first %+v", p.role, c.ChatID, len(p.outbox), *p.outbox[0]))
			}
		}
		seen += len(every)
	}
	tr.world.report(total, seen, tr.delays(time.Time{}, time.Now()))
	return total
}

// histories reads every chat's history anew, several at a time, because a chat soon expires
// without its clients. It is nil for a chat that cannot be read.
func (tr *traffic) histories() [][]message {
	tr.world.Helper()
	all := make([][]message, len(tr.chats))
	slots := make(chan struct{}, 16)
	var work errgroup
	for i, c := range tr.chats {
		work.Go(func() error {
			slots <- struct{}{}
			defer func() { <-slots }()
			history, err := c.read()
			if err != nil {
				return fmt.Errorf("the history of %s: %w", c.ChatID, err)
			}
			all[i] = append([]message{}, history...)
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		tr.world.Error(err)
	}
	return all
}

// finish compares with the final history.
func (p *participant) finish(history []message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := map[string]bool{}
	ids := make([]string, len(history))
	for i, m := range history {
		ids[i] = m.MessageID
		if known[m.MessageID] {
			p.doubled++
			p.fail("%s is twice in the history", m.MessageID)
		}
		known[m.MessageID] = true
		if !p.seen[m.MessageID] {
			p.missing++
			p.fail("%s is in the history and was never shown", m.MessageID)
		}
	}
	p.compare(ids)
	waiting := map[string]bool{}
	for _, o := range p.outbox {
		waiting[o.id] = true
	}
	for n := range p.number {
		if id := fmt.Sprintf("%s-%d", p.role, n+1); !waiting[id] && !known[id] && !p.seen[id] {
			p.lose("%s was acknowledged and is not in the history", id)
		}
	}
}

// quiet reports whether nothing is under way: all acknowledged, and both sides
// have the same. The store's number of messages is compared at the end.
func (c *conversation) quiet() bool {
	c.user.mu.Lock()
	defer c.user.mu.Unlock()
	c.agent.mu.Lock()
	defer c.agent.mu.Unlock()
	if !c.user.joined || !c.agent.joined || len(c.user.outbox)+len(c.agent.outbox) > 0 {
		return false
	}
	if c.world.mayLose { // one side may have seen something that is lost, and the other not
		return c.user.hasSeen(c.agent.number) && c.agent.hasSeen(c.user.number)
	}
	return len(c.user.view) == len(c.agent.view)
}

// read gets the chat's history through a fresh socket.
func (c *conversation) read() ([]message, error) {
	conn, err := dial(context.Background(), c.world.pick(""), "/chat/"+c.ChatID)
	if err != nil {
		return nil, err
	}
	frames, stop := listen(conn)
	defer stop()
	if err := write(context.Background(), conn, c.agent.join()); err != nil {
		return nil, err
	}
	text, err := next(frames, 6*time.Second)
	if err != nil {
		return nil, err
	}
	var history struct {
		Type string
		Args struct{ Messages []message }
	}
	if err := json.Unmarshal([]byte(text), &history); err != nil {
		return nil, err
	}
	if history.Type != "ChatHistory" {
		return nil, errors.New("instead of the history: " + text)
	}
	return history.Args.Messages, nil
}

func (c *counts) add(o *counts) {
	c.sent += o.sent
	c.acked += o.acked
	c.refusals += o.refusals
	c.refusedJoins += o.refusedJoins
	c.sockets += o.sockets
	c.lost += o.lost
	c.doubled += o.doubled
	c.disordered += o.disordered
	c.skipped += o.skipped
	c.missing += o.missing
	c.unanswered += o.unanswered
	c.slowest = max(c.slowest, o.slowest)
	c.presences += o.presences
	c.offlines += o.offlines
	c.presenceTwice += o.presenceTwice
	c.receipts += o.receipts
	c.marksBack += o.marksBack
	for code, n := range o.closed {
		c.closed[code] += n
	}
	c.faults = append(c.faults, o.faults...)
}

// report prints the counts in a line and wants the bad ones to be zero.
func (w *world) report(c counts, seen int, delays []time.Duration) {
	w.Helper()
	w.Logf("%s: messages sent %d, seen %d, acknowledged %d; lost %d, doubled %d, out of order %d, skipped %d, not shown %d, unanswered %d; refused and sent again %d, slowest answer %v; sockets %d, closed by code %v; delivery %s",
		w.Name(), c.sent, seen, c.acked, c.lost, c.doubled, c.disordered, c.skipped, c.missing, c.unanswered, c.refusals, c.slowest.Round(time.Millisecond), c.sockets, c.closed, percentiles(delays))
	w.Logf("%s: presence told %d times, %d times as offline, twice in a row %d; receipts told %d, marks that went back %d",
		w.Name(), c.presences, c.offlines, c.presenceTwice, c.receipts, c.marksBack)
	if c.presences == 0 || c.receipts == 0 || c.presenceTwice+c.marksBack > 0 {
		w.Errorf("presence and receipts are not as promised:\n%s", strings.Join(c.faults[:min(len(c.faults), 10)], "\n"))
	}
	if w.mayLose {
		c.lost = 0
	}
	if c.lost+c.doubled+c.disordered+c.skipped+c.missing+c.unanswered+len(c.faults) > 0 || c.sent == 0 || c.sent != c.acked {
		w.Errorf("not as promised:\n%s", strings.Join(c.faults[:min(len(c.faults), 10)], "\n"))
	}
}

// delays are those of the messages that came across between two times.
func (tr *traffic) delays(from, to time.Time) []time.Duration {
	var out []time.Duration
	for _, c := range tr.chats {
		c.mu.Lock()
		for _, d := range c.delays {
			if d.at.After(from) && d.at.Before(to) {
				out = append(out, d.took)
			}
		}
		c.mu.Unlock()
	}
	return out
}

func percentiles(d []time.Duration) string {
	if len(d) == 0 {
		return "of none"
	}
	return fmt.Sprintf("p50 %v, p99 %v, max %v", percentile(d, 50), percentile(d, 99), percentile(d, 100))
}

// percentile sorts d, which must not be empty.
func percentile(d []time.Duration, p int) time.Duration {
	slices.Sort(d)
	return d[(len(d)-1)*p/100].Round(100 * time.Microsecond)
}
