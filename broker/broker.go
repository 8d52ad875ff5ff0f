// Package broker carries events between the servers of a deployment: a payload that is
// published on a topic reaches every subscriber of that topic, in any process.
//
// A broker only carries news. The truth is in the store, where a subscriber reads what it
// has missed after a Gap. Broker says what an implementation promises; package brokertest
// checks every clause of it.
package broker

import (
	"context"
	"errors"
)

const (
	// MaxPayload is the maximum size of a payload in bytes.
	MaxPayload = 512 << 10
	// MaxSignal is the maximum size of a signal in bytes.
	MaxSignal = 16 << 10
)

var (
	// ErrClosed is the error of every method of a closed broker.
	ErrClosed = errors.New("broker: closed")
	// ErrTooLarge is the error of Publish for a payload over MaxPayload, and of Signal for
	// one over MaxSignal.
	ErrTooLarge = errors.New("broker: payload too large")
)

// Broker is the interface of the brokers on Redis pub/sub and on NATS JetStream. All methods
// are safe for concurrent use.
//
// Publish and Subscribe are for events, none of which may be lost without a Gap. Signal and
// Listen are for information that only matters now, such as that somebody is typing. The two
// never mix: subscribers get no signals, and listeners get no publications.
type Broker interface {
	// Publish hands a payload to the broker. nil means that the broker has accepted it; after
	// an error it may or may not have. The caller must not change the payload before Publish
	// returns. Publish fails at once while the connection is known to be down, and otherwise
	// when ctx ends.
	Publish(ctx context.Context, topic string, payload []byte) error

	// Subscribe returns when the subscription is established, or when ctx ends. From then
	// until Subscription.Close, h gets every payload that any process, including this one,
	// publishes on the topic, in the order of each publisher, and a Gap call wherever
	// payloads may be missing. A payload may come twice. A slow handler delays neither other
	// subscriptions nor publishers: when its queue is full, payloads are dropped and it gets
	// a Gap instead.
	//
	// A topic is "users", or "chat:" followed by any bytes, which are taken literally and
	// never as a pattern. Topics come and go by the thousand; an idle one costs no goroutine.
	Subscribe(ctx context.Context, topic string, h Handler) (Subscription, error)

	// Signal sends a payload to the current listeners of the topic, in any process, including
	// this one. It never blocks. Signals are not stored: a signal arrives at most once, and
	// may be lost silently. A process's signals on a topic arrive in order. Signals wait up to
	// 20 ms to be sent together; at most 16,384 can wait, and further ones replace the oldest.
	// Publications never wait for signals.
	//
	// The caller may change the payload after Signal has returned. An error means that the
	// signal was dropped: ErrClosed, ErrTooLarge, an invalid topic, or a connection that is
	// known to be down. nil promises nothing.
	Signal(topic string, payload []byte) error

	// Listen calls f with the signals on the topic, one at a time. f may keep the payload.
	// Listen does no I/O and does not wait: signals start to arrive soon afterwards, when the
	// connection has the topic. After a lost connection they arrive again, without those sent
	// in the meantime. If f is slow and 64 signals wait, the oldest are dropped; nobody else
	// is delayed. On a closed broker no signals arrive.
	//
	// stands, if not nil, is called in sequence with f when signals start to arrive, and each
	// time that they start again after a lost connection.
	//
	// Topics are as for Subscribe; an idle one costs no goroutine. There is no connection for
	// signals before the first Listen.
	Listen(topic string, f func(payload []byte), stands func()) Subscription

	// Ready returns nil while the broker is reachable, and otherwise an error. It does no
	// I/O. A connection that dies silently is noticed within 5 s.
	Ready() error

	// Close ends all subscriptions, waits for running handlers, and joins all goroutines. A
	// second call does nothing.
	Close() error
}

// Handler handles the payloads of a subscription. For one subscription its methods are never
// called concurrently. They must not block for long.
type Handler interface {
	// Message handles a payload. It may keep the payload.
	Message(payload []byte)
	// Gap is called when payloads may be missing between the last one and the next.
	Gap()
}

// Subscription is the subscription of a handler or a listener to a topic.
type Subscription interface {
	// Close ends the subscription: no call of the handler begins after it has returned. It
	// does not wait for a running call, so a handler may call it, and so may the holder of a
	// lock that the handler wants. It does no network I/O. A second call does nothing.
	Close()
}
