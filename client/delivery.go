package client

import "time"

const (
	// receiptLimit is how long a message may take to get a receipt or refusal before the
	// connection counts as dead.
	receiptLimit = 10 * time.Second
	// retryPause is the pause before a message that was refused temporarily (rate, outage) is sent
	// again.
	retryPause = 1500 * time.Millisecond
	// maxOutbox is how many messages, and how many requests, can wait.
	maxOutbox = 256
)

// outgoing is a message without a receipt.
type outgoing struct {
	id, content string
	files       []string
	done        chan sent // takes one
}

type sent struct {
	message Message
	err     error
}

// delivery sends messages, each once and in order. Only one is in flight at a time, so that later
// messages never overtake a refused one.
type delivery struct {
	*connection
	say    func(outgoing)
	outbox []outgoing
	joined bool
	sent   string // the id that is under way
}

func (d *delivery) add(o outgoing) error {
	if len(d.outbox) >= maxOutbox || d.full() {
		return ErrBehind
	}
	d.outbox = append(d.outbox, o)
	d.settled()
	return nil
}

// forget removes a message that is not in flight, and reports whether it has.
func (d *delivery) forget(id string) bool {
	if id == d.sent {
		return false
	}
	_, ok := d.remove(id)
	return ok
}

func (d *delivery) remove(id string) (outgoing, bool) {
	for i, o := range d.outbox {
		if o.id == id {
			d.outbox = append(d.outbox[:i:i], d.outbox[i+1:]...)
			return o, true
		}
	}
	return outgoing{}, false
}

// arrived handles a message from this side that the server has delivered.
func (d *delivery) arrived(m Message) {
	if o, ok := d.remove(m.MessageID); ok {
		o.done <- sent{message: m}
		d.settled()
	}
}

// refused handles an Error. Without an id, it is about the message in flight.
func (d *delivery) refused(id string, err *Refusal) {
	if len(d.outbox) == 0 || (id != "" && id != d.outbox[0].id) {
		return
	}
	if err.Code == "unavailable" || err.Code == "rate_limited" {
		d.set(alarmDelivery, retryPause, d.next)
		return
	}
	o, _ := d.remove(d.outbox[0].id)
	o.done <- sent{err: err}
	d.settled()
}

// giveUp fails all waiting messages.
func (d *delivery) giveUp(err error) {
	for _, o := range d.outbox {
		o.done <- sent{err: err}
	}
	d.outbox = nil
	d.left()
}

func (d *delivery) left() {
	d.joined, d.sent = false, ""
	d.clear(alarmDelivery)
}

func (d *delivery) join() {
	d.joined = true
	d.next()
}

func (d *delivery) settled() {
	if len(d.outbox) == 0 || d.outbox[0].id != d.sent {
		d.next()
	}
}

func (d *delivery) next() {
	d.clear(alarmDelivery)
	d.sent = ""
	if len(d.outbox) == 0 || !d.joined {
		return
	}
	d.sent = d.outbox[0].id
	d.say(d.outbox[0])
	d.set(alarmDelivery, receiptLimit, func() { d.restart(0) })
}
