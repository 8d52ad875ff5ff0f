// Package broker carries events between the servers of a deployment: one
// payload published on a topic reaches every subscriber of that topic, on
// whatever process it runs.
//
// A broker only carries news. What is true lives in the store, so a subscriber
// that is told of a Gap reads there what it has missed. See Broker for what an
// implementation promises; package brokertest checks every clause of it.
package broker

import (
	"context"
	"errors"
)

const (
	// MaxPayload is the largest payload in bytes that every implementation takes.
	MaxPayload = 512 << 10
	// MaxSignal is the same for a signal.
	MaxSignal = 16 << 10
)

var (
	// ErrClosed is returned by every method of a broker that has been closed.
	ErrClosed = errors.New("broker: closed")
	// ErrTooLarge is returned by Publish for a payload over MaxPayload, and by
	// Signal for one over MaxSignal.
	ErrTooLarge = errors.New("broker: payload too large")
)

// Broker is implemented by Redis pub/sub and by NATS JetStream. All methods may
// be called concurrently.
//
// Publish and Subscribe are for events, of which none may be missing without a
// Gap. Signal and Listen are for what is of use only now, such as that somebody is
// typing. The two never mix: a signal on a topic is no publication on it.
type Broker interface {
	// Publish hands a payload to the broker. nil means that the broker has taken
	// it. An error means that it may or may not have been taken. The payload must
	// not be changed before Publish returns. Publish fails at once while the
	// connection is known to be down, else when ctx ends.
	Publish(ctx context.Context, topic string, payload []byte) error

	// Subscribe returns when the subscription stands, or when ctx ends. From then
	// on until Subscription.Close, h gets every payload published on the topic by
	// anyone, this process included, in the order in which each publisher sent
	// them; or a Gap call wherever some may be missing. A payload may come twice.
	// A slow handler holds up neither other subscriptions nor publishers: when its
	// queue is full, payloads are dropped and it gets a Gap instead.
	//
	// A topic is "users" or "chat:" followed by any bytes; they are taken
	// literally, never as a pattern. Topics come and go by the thousand: an idle
	// one costs no goroutine.
	Subscribe(ctx context.Context, topic string, h Handler) (Subscription, error)

	// Signal sends a payload to those who listen to the topic now, on any process,
	// this one included. It never blocks and is kept nowhere: a signal comes at
	// most once, and may be lost without a word. Of one process's signals on one
	// topic those that come do so in order. They wait up to 20 ms to be sent together,
	// and at most 16,384 of them: when there are more, the oldest are dropped. However
	// many there are, publications do not wait for them.
	//
	// The payload may be changed once Signal has returned. An error says that the
	// signal has been dropped already: ErrClosed, ErrTooLarge, a topic that cannot
	// be, or a connection that is known to be down. nil promises nothing.
	Signal(topic string, payload []byte) error

	// Listen has f called with the signals on the topic, one at a time; a payload is
	// f's to keep. It does no I/O and waits for nothing: signals come once the
	// connection has it, soon afterwards, and again after the connection was lost,
	// without those that were sent meanwhile. When f is slow and 64 wait for it, the
	// oldest are dropped; nobody else is held up. On a closed broker nothing comes.
	//
	// stands, if not nil, is called in the same order when signals begin to come, and
	// each time that they come again after the connection was lost.
	//
	// Topics are as for Subscribe: an idle one costs no goroutine. Nothing is
	// connected for signals before the first Listen.
	Listen(topic string, f func(payload []byte), stands func()) Subscription

	// Ready returns nil while the broker is reachable, else what is wrong. It does
	// no I/O. A connection that dies without a word is noticed within 5 s.
	Ready() error

	// Close ends all subscriptions, waits for running handlers and joins every
	// goroutine. A second call does nothing.
	Close() error
}

// Handler receives what a subscription brings. Its methods are never called
// concurrently for one subscription, and they must not block for long.
type Handler interface {
	// Message is one payload, which is the handler's to keep.
	Message(payload []byte)
	// Gap says that payloads may be missing between the last one and the next.
	Gap()
}

// Subscription is one handler's attachment to a topic, or one listener's.
type Subscription interface {
	// Close ends the subscription: no call of the handler begins after it has
	// returned. It does not wait for one that is running, so a handler may call
	// it, and so may the holder of a lock that the handler wants. It does no
	// network I/O itself. A second call does nothing.
	Close()
}
