package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxReplay is how many messages a replay may read. Beyond it, subscribers read the store
	// instead.
	maxReplay   = 20_000
	replayFetch = 500
	// replayTimeout bounds a replay with all its attempts.
	replayTimeout = 5 * time.Second
	replayPause   = 100 * time.Millisecond
)

var (
	errTooMuch = errors.New("broker: replay: too much was missed")
	errGone    = errors.New("broker: replay: the stream no longer has the missed messages")
	errBehind  = errors.New("broker: replay: this copy of the stream is not up to date")
	errSkipped = errors.New("broker: replay: a message was lost on the way")
)

// replay delivers what the stream has stored between two marks and was not delivered yet. The first
// mark must still be in the stream, which proves that the stream has lost nothing and is not a new
// one.
//
// It reads by direct gets in batches rather than with a consumer. Any server with a copy answers
// those, even in a cluster that has just lost its leaders and cannot create a consumer for seconds,
// and they leave nothing behind. replay retries failures, and drops duplicates by their number.
func (b *NATS) replay(ctx context.Context, l *link, from, to mark) error {
	switch {
	case to.seq <= from.seq:
		return errGone
	case to.seq-from.seq > maxReplay:
		return errTooMuch
	}
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	start, next := time.Now(), from.seq
	for {
		err := b.replayBatch(ctx, l, &next, from, to)
		switch {
		case errors.Is(err, errGone):
			return err
		case next > to.seq:
			b.log.Info("replayed missed events", "messages", to.seq-from.seq, "took", time.Since(start))
			return nil
		case err == nil:
			continue
		}
		b.log.Debug("replay failed, trying again", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(replayPause):
		}
	}
}

// replayBatch delivers some messages from next on, and advances next.
func (b *NATS) replayBatch(ctx context.Context, l *link, next *uint64, from, to mark) error {
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	answers := make(chan *nats.Msg, replayFetch+1)
	inbox := l.nc.NewInbox()
	sub, err := l.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return fmt.Errorf("broker: replay: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	request := fmt.Appendf(nil, `{"seq":%d,"batch":%d}`, *next, replayFetch)
	if err := l.nc.PublishRequest("$JS.API.DIRECT.GET."+b.stream(), inbox, request); err != nil {
		return fmt.Errorf("broker: replay: %w", err)
	}
	for previous := uint64(0); ; {
		var msg *nats.Msg
		select {
		case msg = <-answers:
		case <-ctx.Done():
			return fmt.Errorf("broker: replay: %w", context.Cause(ctx))
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
		case "204": // the end of the batch
			if previous == 0 {
				return errBehind
			}
			return nil
		case "404":
			return errBehind
		default:
			return fmt.Errorf("broker: replay: answer %s %s", status, msg.Header.Get("Description"))
		}
		n, err := numbersOf(msg)
		switch {
		case err != nil:
			return err
		case n.previous != previous:
			return errSkipped
		case n.seq != *next || n.seq == from.seq && !n.time.Equal(from.time):
			return errGone
		}
		b.topics.arrived(topicOf(strings.TrimPrefix(n.subject, b.prefix)), n.seq, 0, msg.Data)
		previous = n.seq
		if *next = n.seq + 1; *next > to.seq {
			return nil
		}
	}
}

// numbers has the sequence numbers that the stream adds to a message.
type numbers struct {
	subject       string
	seq, previous uint64 // previous: of the subject if live, of the batch if replayed
	time          time.Time
}

func numbersOf(msg *nats.Msg) (numbers, error) {
	n := numbers{subject: stamp(msg, jetstream.SubjectHeader)}
	var errs [3]error
	n.seq, errs[0] = strconv.ParseUint(stamp(msg, jetstream.SequenceHeader), 10, 64)
	n.previous, errs[1] = strconv.ParseUint(stamp(msg, jetstream.LastSequenceHeader), 10, 64)
	n.time, errs[2] = time.Parse(time.RFC3339Nano, stamp(msg, jetstream.TimeStampHeaer))
	if err := errors.Join(errs[:]...); err != nil {
		return numbers{}, errors.New("broker: a message of the stream without its numbers")
	}
	return n, nil
}

// stamp returns the header that the stream has added, which follows any from the publisher.
func stamp(msg *nats.Msg, key string) string {
	values := msg.Header[key]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}
