package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxPending bounds the publications of one process that wait for an acknowledgement.
	// Further ones wait for their turn.
	maxPending = 4096
	// publishPatience is how long Publish waits when its context has no deadline.
	publishPatience = 5 * time.Second
	// noStreamPause is the pause before a publication that found no stream is repeated, as
	// happens while a cluster elects a leader.
	noStreamPause = 100 * time.Millisecond
)

// Publish implements Broker. nil means that the stream has stored the payload.
// Without a deadline in ctx it gives up after 5 s.
func (b *NATS) Publish(ctx context.Context, topic string, payload []byte) error {
	began := time.Now()
	err := b.publish(ctx, topic, payload)
	b.topics.metrics.published(began, err)
	return err
}

func (b *NATS) publish(ctx context.Context, topic string, payload []byte) error {
	switch {
	case b.topics.ctx.Err() != nil:
		return ErrClosed
	case len(payload) > MaxPayload:
		return ErrTooLarge
	case len(topic) > maxTopic:
		return errTopic
	case ctx.Err() != nil:
		return fmt.Errorf("broker: publish: %w", context.Cause(ctx))
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, publishPatience)
		defer cancel()
	}
	l := b.link.Load()
	if l == nil {
		return b.unpublished(b.topics.err())
	}
	select {
	case b.pending <- struct{}{}:
		defer func() { <-b.pending }()
	case <-l.ctx.Done():
		return b.unpublished(context.Cause(l.ctx))
	case <-ctx.Done():
		return b.unpublished(context.Cause(ctx))
	}
	id := strconv.FormatUint(b.count.Add(1), 36)
	msg := &nats.Msg{
		Subject: b.prefix + subject(topic),
		Reply:   l.inbox + id,
		Data:    payload,
		Header:  nats.Header{jetstream.MsgIDHeader: {b.id + id}},
	}
	answer := make(chan error, 1)
	l.waiting.Store(id, answer)
	defer l.waiting.Delete(id)
	for {
		if err := l.nc.PublishMsg(msg); err != nil {
			return b.unpublished(err)
		}
		var err error
		select {
		case err = <-answer:
		case <-l.ctx.Done():
			return b.unpublished(context.Cause(l.ctx))
		case <-ctx.Done():
			return b.unpublished(fmt.Errorf("no acknowledgement: %w", context.Cause(ctx)))
		}
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, jetstream.ErrNoStreamResponse):
			return b.unpublished(err)
		}
		select { // the same id again, so that it is stored once
		case <-time.After(noStreamPause):
		case <-l.ctx.Done():
			return b.unpublished(context.Cause(l.ctx))
		case <-ctx.Done():
			return b.unpublished(err)
		}
	}
}

// unpublished returns the error of a failed publication.
func (b *NATS) unpublished(err error) error {
	if b.topics.ctx.Err() != nil {
		return ErrClosed
	}
	return fmt.Errorf("broker: publish: %w", err)
}

// acknowledge passes the answers on to the waiting publications. Package jetstream's asynchronous
// publishing is no alternative: it leaves a goroutine behind if the connection ends too early, and
// may use the payload after Publish has returned.
func (l *link) acknowledge() {
	for {
		select {
		case msg := <-l.answers:
			if answer, ok := l.waiting.Load(strings.TrimPrefix(msg.Subject, l.inbox)); ok {
				select {
				case answer.(chan error) <- acknowledgement(msg):
				default: // it has one already
				}
			}
		case <-l.ctx.Done():
			return
		}
	}
}

// acknowledgement returns nil if the stream has stored the message.
func acknowledgement(msg *nats.Msg) error {
	if msg.Header.Get("Status") == "503" {
		return jetstream.ErrNoStreamResponse
	}
	var answer struct {
		Stream string
		Error  *jetstream.APIError
	}
	switch err := json.Unmarshal(msg.Data, &answer); {
	case err != nil || answer.Error == nil && answer.Stream == "":
		return jetstream.ErrInvalidJSAck
	case answer.Error != nil:
		return answer.Error
	}
	return nil
}
