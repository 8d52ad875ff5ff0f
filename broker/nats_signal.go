package broker

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// Signal implements Broker.
func (b *NATS) Signal(topic string, payload []byte) error {
	switch {
	case b.topics.ctx.Err() != nil:
		return ErrClosed
	case len(payload) > MaxSignal:
		return ErrTooLarge
	case len(topic) > maxTopic:
		return errTopic
	}
	if err := b.topics.err(); err != nil {
		b.topics.metrics.signalsDropped.Inc()
		return fmt.Errorf("broker: signal: %w", err)
	}
	return b.outbox.put(topic, payload)
}

// sendSignals only fills the connection's buffer. nats.go writes it within seconds, or the connection
// counts as dead.
func (b *NATS) sendSignals(_ context.Context, batch []signal) error {
	l := b.link.Load()
	if l == nil {
		return b.topics.err()
	}
	for _, s := range batch {
		if err := l.nc.Publish(signalSubjects+b.prefix+subject(s.topic), s.payload); err != nil {
			return fmt.Errorf("broker: signal: %w", err)
		}
	}
	return nil
}

// Listen implements Broker.
func (b *NATS) Listen(topic string, f func(payload []byte), stands func()) Subscription {
	if len(topic) > maxTopic {
		return nothing(b.signals) // nobody can send there
	}
	return b.signals.listen(topic, f, stands)
}

// passSignals subscribes to the wanted signals and delivers them until the link fails.
func (b *NATS) passSignals(l *link) error {
	b.signals.connected()
	defer b.signals.disconnected()
	subs := make(map[string]*nats.Subscription)
	for {
		select {
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		case <-b.signals.wake:
			join, leave := b.signals.commands(maxChannels)
			for _, name := range leave {
				if err := subs[name].Unsubscribe(); err != nil {
					return fmt.Errorf("broker: %w", err)
				}
				delete(subs, name)
				b.signals.left(name)
			}
			for _, name := range join {
				sub, err := l.nc.ChanSubscribe(signalSubjects+b.prefix+subject(name), l.signals)
				if err != nil {
					return fmt.Errorf("broker: listen: %w", err)
				}
				subs[name] = sub
				b.signals.joined(name, true)
			}
		case msg := <-l.signals:
			b.signals.deliver(topicOf(strings.TrimPrefix(msg.Subject, signalSubjects+b.prefix)), msg.Data)
		}
	}
}
