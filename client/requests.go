package client

import "time"

// toldPause is the time after a Join within which the server reports the outcome of an earlier
// request.
const toldPause = 1500 * time.Millisecond

// request is a frame that the server answers with another frame.
type request struct {
	kind   string
	args   any
	fits   func(Event) bool // whether an event is its answer
	counts bool             // sending it twice makes a difference, and the server reports the outcome after a Join
	sent   bool
	done   chan error // takes one
}

// requests sends requests one at a time, because an Error does not say which request it refuses. They
// outlive a lost connection, and each may be sent twice.
type requests struct {
	*connection
	queue  []*request
	joined bool
	sent   bool
}

func (r *requests) ask(q *request) error {
	if len(r.queue) >= maxOutbox || r.full() {
		return ErrBehind
	}
	r.queue = append(r.queue, q)
	r.next()
	return nil
}

// forget drops a request. If it was already sent, the server may carry it out all the same.
func (r *requests) forget(q *request) {
	if len(r.queue) > 0 && r.queue[0] == q && r.sent {
		q.fits = nil // stays until it is answered, so that the next one does not get its answer
		return
	}
	r.settle(func(other *request) bool { return other == q }, nil)
}

func (r *requests) join() {
	r.joined = true
	r.next()
}

func (r *requests) left() {
	r.clear(alarmRequest)
	r.joined, r.sent = false, false
}

// answered handles an answer, which may be for another socket's request.
func (r *requests) answered(kind string, e Event) {
	r.settle(func(q *request) bool { return q.kind == kind && (q.fits == nil || q.fits(e)) }, nil)
}

// refuse handles an Error that is not about a message, and reports whether it is about a request.
func (r *requests) refuse(err *Refusal) bool {
	if !r.sent {
		return false
	}
	first := r.queue[0]
	if err.Code == "unavailable" || err.Code == "rate_limited" {
		r.sent, first.sent = false, false
		r.set(alarmRequest, retryPause, r.next)
		return true
	}
	r.settle(func(q *request) bool { return q == first }, err)
	return true
}

// giveUp fails all requests.
func (r *requests) giveUp(err error) {
	r.left()
	r.settle(func(*request) bool { return true }, err)
}

func (r *requests) settle(which func(*request) bool, err error) {
	var left []*request
	for i, q := range r.queue {
		if !which(q) {
			left = append(left, q)
			continue
		}
		if i == 0 {
			r.sent = false
		}
		q.done <- err
	}
	r.queue = left
	r.next()
}

func (r *requests) next() {
	if len(r.queue) == 0 || !r.joined || r.sent {
		return
	}
	r.clear(alarmRequest)
	first := r.queue[0]
	if first.counts && first.sent {
		first.sent = false
		r.set(alarmRequest, toldPause, r.next)
		return
	}
	r.sent, first.sent = true, true
	r.send(first.kind, first.args)
}
