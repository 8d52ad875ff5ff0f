package client

import "time"

// marksPause is the minimum time between two Receipts.
const marksPause = time.Second

type marks struct {
	Delivered int `json:"delivered,omitempty"`
	Read      int `json:"read,omitempty"`
}

// raise raises the marks, and reports whether one has changed. Marks never go back, and reading
// implies delivery.
func (m *marks) raise(by marks) bool {
	before := *m
	m.Read = max(m.Read, by.Read)
	m.Delivered = max(m.Delivered, by.Delivered, m.Read)
	return *m != before
}

// receipts has the marks of both sides. It reports new messages as delivered automatically.
type receipts struct {
	*connection
	role   string // "" for an Observer, who has no marks
	signal func(kind string, args any) bool
	marks  map[string]*marks
	told   marks     // this side's marks that the server knows
	newest int       // the number of the other side's newest message
	next   time.Time // time of the next Receipt at the earliest
}

func (r *receipts) came(m Message) {
	if r.role == "" || m.From == r.role {
		return
	}
	r.newest = max(r.newest, m.Seq)
	if r.grow(r.role, marks{Delivered: r.newest}) {
		r.schedule()
	}
}

func (r *receipts) read(upTo int) {
	if r.role != "" && r.grow(r.role, marks{Read: min(upTo, r.newest)}) {
		r.schedule()
	}
}

// take handles a Receipt from the server.
func (r *receipts) take(receipt Receipt) {
	is := marks{receipt.Delivered, receipt.Read}
	if receipt.From == r.role {
		r.told.raise(is)
	}
	if receipt.From == User || receipt.From == Support {
		r.grow(receipt.From, is)
	}
}

func (r *receipts) grow(from string, by marks) bool {
	if !r.marks[from].raise(by) {
		return false
	}
	r.tell(Receipt{from, r.marks[from].Delivered, r.marks[from].Read})
	return true
}

// join resets what the server knows, because it is about to send that.
func (r *receipts) join() {
	r.told = marks{}
	r.next = time.Now().Add(marksPause)
	r.clear(alarmMarks)
	if r.role != "" {
		r.schedule()
	}
}

func (r *receipts) schedule() {
	if !r.isSet(alarmMarks) {
		r.set(alarmMarks, time.Until(r.next), r.flush)
	}
}

// flush sends unsent marks now.
func (r *receipts) flush() {
	r.clear(alarmMarks)
	if r.role == "" {
		return
	}
	own, what := *r.marks[r.role], marks{}
	if own.Read > r.told.Read {
		what.Read = own.Read
	}
	if own.Delivered > max(r.told.Delivered, own.Read) {
		what.Delivered = own.Delivered
	}
	if what == (marks{}) || !r.signal("Receipt", what) {
		return
	}
	r.told.raise(own)
	r.next = time.Now().Add(marksPause)
}
