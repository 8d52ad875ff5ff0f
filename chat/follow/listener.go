package follow

import (
	"context"
	"errors"
	"time"

	"livesupport/chat/log"
)

// SendTimeout bounds one try of an event.
const SendTimeout = 10 * time.Second

// A Listener gets the events of live chats. It must be safe for concurrent use.
type Listener interface {
	// Name returns the listener's unique name, the same in all processes.
	Name() string
	// Events returns the events of an entry, in order. Most entries have none. The result
	// must be the same for the same entry.
	Events(e Entry) []Event
	// Send sends one event to the listener, within SendTimeout. After an error it is called
	// again, for up to 24 hours, and later events of the chat wait. Send gets the events of
	// a chat in order and one at a time, but may get an event again, even from another
	// process. ErrStopped ends the listening. A *BusyError says when to try again. An error
	// that wraps ErrAway says that nobody answered; after several chats with that result,
	// only single events are tried until somebody answers.
	Send(ctx context.Context, e Event) error
}

// Entry is an applied entry of a chat's log.
type Entry struct {
	ChatID   string
	Position int64 // from 1
	Past     log.Past
	Event    log.Event
	State    *log.State  // after the entry; must not be kept
	Before   log.Support // the support before the entry
	At       int64       // the chat's time, in microseconds since 1970
}

// Event is an event for a Listener.
type Event struct {
	ID   string // the same on every try, and no other event's
	At   int64
	Body []byte
}

// ErrStopped is the error of a listener that wants no further events.
var ErrStopped = errors.New("follow: the listener wants no further events")

// BusyError is the error of a listener that asks for a pause.
type BusyError struct {
	After time.Duration
	Err   error
}

func (e *BusyError) Error() string { return e.Err.Error() }
func (e *BusyError) Unwrap() error { return e.Err }
