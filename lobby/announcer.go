package lobby

import (
	"context"
	"log/slog"
	"time"

	"livesupport/broker"
)

// announceBound is how many events can wait while the broker is unavailable. Further events
// are not announced; lobbies find them in the queue's log anyway.
const announceBound = 8192

// announcer publishes the queue's events in order, without blocking its callers, and
// retries while the broker is unavailable.
type announcer struct {
	broker broker.Broker
	log    *slog.Logger
	events chan announcement
	stop   context.CancelFunc
	done   chan struct{}
}

// announcement is an event with a channel that is closed when the broker has it.
type announcement struct {
	event []byte
	taken chan struct{}
}

func newAnnouncer(b broker.Broker, log *slog.Logger) *announcer {
	ctx, stop := context.WithCancel(context.Background())
	a := &announcer{
		broker: b,
		log:    log,
		events: make(chan announcement, announceBound),
		stop:   stop,
		done:   make(chan struct{}),
	}
	go a.run(ctx)
	return a
}

// announce publishes an event soon. It returns a channel that is closed then, or nil if the
// event will not be published.
func (a *announcer) announce(event []byte) <-chan struct{} {
	taken := make(chan struct{})
	select {
	case a.events <- announcement{event, taken}:
		return taken
	default:
		a.log.Warn("the broker is unavailable for too long: an event of the queue was not announced")
		return nil
	}
}

// await waits for an announcement for a short time, and not at all while the broker is
// unavailable. It makes an event come before the events that other servers cause in reaction
// to it.
func (a *announcer) await(ctx context.Context, taken <-chan struct{}) {
	if taken == nil || a.broker.Ready() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, announceWait)
	defer cancel()
	select {
	case <-taken:
	case <-ctx.Done():
	}
}

const announceWait = 500 * time.Millisecond

func (a *announcer) run(ctx context.Context) {
	defer close(a.done)
	for {
		select {
		case event := <-a.events:
			if !a.publish(ctx, event) {
				a.drain(event)
				return
			}
		case <-ctx.Done():
			a.drain(announcement{})
			return
		}
	}
}

// publish tries until the broker has accepted the event or ctx ends.
func (a *announcer) publish(ctx context.Context, event announcement) bool {
	pause := 50 * time.Millisecond
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := a.broker.Publish(attempt, Topic, event.event)
		cancel()
		if err == nil {
			close(event.taken)
			return true
		}
		a.log.Debug("cannot announce an event of the queue", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, time.Second)
	}
	return false
}

// drain publishes the waiting events at shutdown, event first, for a short time.
func (a *announcer) drain(event announcement) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for {
		if event.event != nil && a.broker.Publish(ctx, Topic, event.event) != nil {
			return
		}
		select {
		case event = <-a.events:
		default:
			return
		}
	}
}

func (a *announcer) close() {
	a.stop()
	<-a.done
}
