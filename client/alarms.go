package client

import "time"

// alarm is a kind of timer. At most one alarm of each kind is set.
type alarm int

const (
	alarmConnection alarm = iota // no sign of life has come, or a pause has ended
	alarmDelivery                // the message in flight has no receipt
	alarmRequest                 // the request in flight has no answer
	alarmMarks                   // marks are due to be sent
	alarmTyping                  // the other side's typing ends
	alarmClaim                   // a claim was not contradicted
	alarms
)

// clock has the alarms of one connection. It is not safe for concurrent use.
type clock struct {
	timer *time.Timer
	calls [alarms]func()
	at    [alarms]time.Time
}

func newClock() clock { return clock{timer: time.NewTimer(0)} }

func (c *clock) set(kind alarm, after time.Duration, call func()) {
	c.at[kind], c.calls[kind] = time.Now().Add(after), call
}

func (c *clock) clear(kind alarm) { c.calls[kind] = nil }

func (c *clock) isSet(kind alarm) bool { return c.calls[kind] != nil }

// wait sets the timer to the next alarm.
func (c *clock) wait() {
	c.timer.Stop()
	var next time.Time
	for kind, call := range c.calls {
		if call != nil && (next.IsZero() || c.at[kind].Before(next)) {
			next = c.at[kind]
		}
	}
	if !next.IsZero() {
		c.timer.Reset(time.Until(next))
	}
}

// ring handles the due alarms.
func (c *clock) ring() {
	now := time.Now()
	for kind := range c.calls {
		if call := c.calls[kind]; call != nil && !c.at[kind].After(now) {
			c.calls[kind] = nil
			call()
		}
	}
}
