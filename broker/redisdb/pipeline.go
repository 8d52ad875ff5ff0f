package redisdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxBatch is the number of commands at which a pipeline is full.
	maxBatch   = 1024
	minBackoff = 25 * time.Millisecond
	maxBackoff = 250 * time.Millisecond
)

// Submit queues cmds for the next shared pipeline and returns at once. There is no timer: calls that
// are submitted while a pipeline is in flight form the next one. Only if the store is far away,
// several pipelines are in flight at a time, so that no call waits for the round trip of another.
//
// The cmds of a call stay together and in order, and calls are sent in the order of Submit. If the
// store fails, or answers that it cannot work now (LOADING, READONLY, OOM and the like), the affected
// calls are sent again, as a whole and ahead of later ones, until their deadline. So a command may be
// executed twice, and after calls that were submitted later. Without failures the order of execution
// is the order of Submit, except that pipelines to a distant store may overtake each other: a call
// that must come after another has to wait for it.
//
// done is called exactly once and must not block, because it delays all other calls. It is called
// from one goroutine, in the order of execution, except for calls that were sent again or have failed
// and for pipelines that have overtaken each other. nil means that every command got a reply, which
// may still be an error such as redis.Nil: check cmd.Err(). Otherwise the error wraps ErrUnavailable,
// comes at most 1.5 s after the deadline, and the commands may or may not have been executed; or it is
// ErrClosed. A call that is refused at once, because 65,536 calls are waiting or the DB is closed, gets
// its error from a separate goroutine, so the caller may hold a lock that done takes.
//
// cmds belong to the DB until done is called. Their arguments must be strings, byte slices, numbers or
// Scripts.
func (db *DB) Submit(deadline time.Time, done func(error), cmds ...redis.Cmder) {
	db.queue.put(call{deadline: deadline, done: done, cmds: cmds})
}

// Do submits cmds and waits for the result. The deadline is that of ctx, or 5 s from now. When ctx ends,
// Do returns at once with an error that wraps both ErrUnavailable and the cause; the caller must not
// touch cmds afterwards. Do executes commands whose Script the store does not know once more, after the
// others.
func (db *DB) Do(ctx context.Context, cmds ...redis.Cmder) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(defaultPatience)
	}
	result := make(chan error, 1)
	db.Submit(deadline, func(err error) { result <- err }, cmds...)
	select {
	case err := <-result:
		if err != nil {
			return err
		}
		return db.withTexts(ctx, cmds)
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	if down := db.Ready(); down != nil {
		cause = fmt.Errorf("%w: %w", cause, down)
	}
	return unavailable(cause)
}

// flight is one pipeline on its way to the store and back.
type flight struct {
	client redis.UniversalClient
	pipe   redis.Pipeliner // of client
	batch  []call
	cmds   []redis.Cmder // of batch
	err    error         // what Exec returned
}

// flusher is the state of the goroutine that sends calls and settles them.
type flusher struct {
	db     *DB
	held   []call // taken from the queue; those from head on wait to be sent
	head   int
	spare  []*flight
	flying int // flights that have not landed
	landed chan *flight
	cause  error // why the last flight failed, nil if it did not
}

func (db *DB) flush() {
	f := flusher{db: db, landed: make(chan *flight, maxFlights)}
	pause := minBackoff
	for {
		if f.head == len(f.held) || f.cause != nil {
			if closed := f.take(); closed {
				f.end()
				return
			}
		}
		switch {
		case f.cause != nil && f.flying > 0: // send nothing new before all flights have landed
			f.land(<-f.landed)
			continue
		case f.head == len(f.held), f.flying == db.flights:
			select {
			case <-db.queue.wake:
			case fl := <-f.landed:
				f.land(fl)
			}
			continue
		}
		fl := f.fill()
		if len(fl.batch) == 0 {
			f.spare = append(f.spare, fl)
			continue
		}
		f.flying++
		if f.cause == nil && db.distant() {
			db.wg.Go(func() {
				fl.fly(db)
				f.landed <- fl
			})
			continue
		}
		fl.fly(db)
		f.cause = nil
		if f.land(fl); f.cause == nil {
			pause = minBackoff
			continue
		}
		db.look()
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-db.ctx.Done():
		}
		pause = min(2*pause, maxBackoff)
	}
}

// end settles all calls when the DB is closed.
func (f *flusher) end() {
	for f.flying > 0 {
		f.land(<-f.landed)
	}
	for _, c := range f.held[f.head:] {
		f.settle(c, ErrClosed)
	}
}

// take takes the waiting calls from the queue.
func (f *flusher) take() (closed bool) {
	n := copy(f.held, f.held[f.head:])
	clear(f.held[n:])
	f.held, f.head = f.held[:n], 0
	if n == 0 && cap(f.held) > maxKept {
		f.held = nil
	}
	f.held, closed = f.db.queue.take(f.held)
	return closed
}

// fill makes the next flight from as many held calls as fit into one pipeline. Calls past their
// deadline fail.
func (f *flusher) fill() *flight {
	now := time.Now()
	if f.cause != nil {
		// Later calls may have earlier deadlines; take has left head at 0.
		f.held = f.expire(f.held, now)
	}
	fl := f.flight()
	for ; f.head < len(f.held); f.head++ {
		c := f.held[f.head]
		if len(fl.cmds) > 0 && len(fl.cmds)+len(c.cmds) > maxBatch {
			break
		}
		if now.After(c.deadline) {
			f.settle(c, unavailable(errLate))
			continue
		}
		fl.batch = append(fl.batch, c)
		fl.cmds = append(fl.cmds, c.cmds...)
	}
	return fl
}

// flight returns an empty flight.
func (f *flusher) flight() *flight {
	client := f.db.Client()
	if n := len(f.spare); n > 0 {
		fl := f.spare[n-1]
		f.spare = f.spare[:n-1]
		if fl.client == client {
			return fl
		}
	}
	return &flight{client: client, pipe: client.Pipeline()}
}

// fly sends the batch and waits for the replies.
func (fl *flight) fly(db *DB) {
	ctx := db.ctx
	if db.replicas > 0 {
		ctx = context.WithValue(ctx, confirmed{}, true)
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	begun := time.Now()
	_ = fl.pipe.BatchProcess(ctx, fl.cmds...) // this only appends
	_, fl.err = fl.pipe.Exec(ctx)
	db.metrics.seconds.Observe(time.Since(begun).Seconds())
	db.metrics.calls.Observe(float64(len(fl.batch)))
}

// land settles the calls of a flight that got their replies, and puts calls that must be sent again
// ahead of the held ones.
func (f *flusher) land(fl *flight) {
	f.flying--
	// If Redis refuses a new connection, go-redis returns the error but does not put it into
	// any command.
	refused := fl.err != nil && !slices.ContainsFunc(fl.cmds, func(c redis.Cmder) bool { return c.Err() != nil })
	var again []call
	unconfirmed := 0
	for _, c := range fl.batch {
		var cause error
		switch {
		case refused:
			cause = fl.err
		case fl.err != nil:
			cause = c.failure()
		}
		if cause == nil {
			f.settle(c, nil)
			continue
		}
		if errors.Is(cause, ErrUnconfirmed) {
			unconfirmed++
			f.settle(c, unavailable(cause))
			continue
		}
		f.cause = cause
		for _, cmd := range c.cmds {
			cmd.SetErr(nil) // go-redis only reports a failure in a command without an error
		}
		again = append(again, c)
	}
	if len(again) > 0 {
		f.db.metrics.errors.Inc()
		f.held, f.head = append(again, f.held[f.head:]...), 0
	}
	if unconfirmed > 0 {
		f.db.metrics.errors.Inc()
		f.db.log.Warn("too few replicas have confirmed what was written", "calls", unconfirmed) // logged once a minute
	}
	clear(fl.batch)
	clear(fl.cmds)
	fl.batch, fl.cmds = fl.batch[:0], fl.cmds[:0]
	f.spare = append(f.spare, fl)
}

// expire settles the calls past their deadline, and returns the others.
func (f *flusher) expire(calls []call, now time.Time) []call {
	kept := calls[:0]
	for _, c := range calls {
		if now.After(c.deadline) {
			f.settle(c, unavailable(f.cause))
		} else {
			kept = append(kept, c)
		}
	}
	clear(calls[len(kept):])
	return kept
}

// settle ends a call.
func (f *flusher) settle(c call, err error) {
	f.db.queue.size.Add(-1)
	c.done(err)
}

// failure returns why a call must be sent again, nil if every command got a reply about the command
// rather than about the store.
func (c call) failure() error {
	for _, cmd := range c.cmds {
		if err := cmd.Err(); err != nil && !isReply(err) {
			return err
		}
	}
	return nil
}

var errLate = errors.New("too many calls before this one")

func unavailable(cause error) error { return fmt.Errorf("%w: %w", ErrUnavailable, cause) }

// outages are replies that a store gives to all commands while it cannot work.
var outages = []string{
	"LOADING ", "READONLY ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ", "MOVED ", "ASK ", "OOM ", "BUSY ",
	"NOAUTH ", "WRONGPASS ", "NOREPLICAS ", "MISCONF ", "ERR max number of clients",
	"ERR AUTH ", "ERR Client sent AUTH", // a password where none is configured
}

// isReply reports whether an error is a reply to a command, rather than a failure of the store or of
// the network. An error that go-redis wraps is a reply to the set-up of a connection, not to a command.
func isReply(err error) bool {
	if _, ok := err.(redis.Error); !ok {
		return false
	}
	text := err.Error()
	return !slices.ContainsFunc(outages, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}
