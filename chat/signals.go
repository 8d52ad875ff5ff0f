package chat

import (
	"maps"
	"slices"
	"time"

	"livesupport/broker"
	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
)

// A chat's servers send each other signals about what is not logged: marks, typing and
// presence. They start once one of them has logged that it wants signals, because one of
// its sessions has listed such a feature. Signals are not stored.

// signal is a message from one server of a chat to the others.
type signal struct {
	Server string `json:"server"`
	// Here is the state at the server. Ask makes the others send theirs.
	Here *here `json:"here,omitempty"`
	Ask  bool  `json:"ask,omitzero"`
	// From is the role whose Mark was raised, or that is Typing, with its Text.
	From   log.Role `json:"from,omitempty"`
	Mark   *mark    `json:"mark,omitempty"`
	Typing *bool    `json:"typing,omitempty"`
	Text   *string  `json:"text,omitempty"`
}

// here is a server's state of a chat: the presence and the marks of both sides.
type here struct {
	Present [2]presence `json:"present"` // "" for a side without a socket there
	Marks   marks       `json:"marks"`
}

// toldHere is the latest state from another server, with its time.
type toldHere struct {
	here
	heard moment
}

const (
	// answerTime is how long the others have to answer before they are asked again. A server
	// that answers none of the questions no longer has a room.
	answerTime = 2 * time.Second
	questions  = 3
	// repeatAfter is when a server repeats a change, in case its signal was lost.
	repeatAfter = 5 * time.Second
	// repeats is how often it repeats it at most. By then its lease has expired.
	repeats = 4
)

// signals is a room's state of the signals. room.mu guards it.
type signals struct {
	subscription broker.Subscription // nil while nobody wants signals
	others       map[string]toldHere // by server
	asked        map[string]struct{} // servers that have not answered yet
	question     int                 // counts the questions
	dropped      bool                // dropped a signal since the last question
	buried       map[string]struct{} // servers that counted as dead and were not heard since
	told         [2]presence         // the last presence that this server has sent
}

// wantsSignals reports whether another server wants signals. The caller holds mu.
func (r *room) wantsSignals() bool {
	return slices.ContainsFunc(r.state.Servers, func(s log.Server) bool { return s.Signals && s.ID != r.service.id })
}

// listen starts exchanging signals. The caller holds mu.
func (r *room) listen() {
	if r.signals.subscription != nil || r.gone {
		return
	}
	r.service.listens(r)
	r.signals.others = map[string]toldHere{}
	r.signals.subscription = r.service.cfg.Broker.Listen(topic(r.chatID), r.signaled, r.ask)
}

// ask sends the state here to the others and makes them send theirs: at the start, and
// whenever signals may have been lost.
func (r *room) ask() {
	r.mu.Lock()
	r.askAll()
	r.mu.Unlock()
}

// askAll is ask for callers that hold mu.
func (r *room) askAll() {
	r.signals.asked = map[string]struct{}{}
	for server := range r.signals.others {
		r.signals.asked[server] = struct{}{}
	}
	clear(r.signals.buried)
	r.signals.dropped = false
	r.question(questions)
}

// question sends a question, and repeats it up to tries times while a server has not answered.
// The caller holds mu.
func (r *room) question(tries int) {
	if !r.state.AttendedByOthers(r.service.id) {
		return
	}
	r.signals.question++
	question := r.signals.question
	// Servers that want no signals answer all the same.
	sent := r.send(signal{Server: r.service.id, Here: r.here(), Ask: true})
	r.signals.dropped = r.signals.dropped || !sent // then the room asks again, see bury
	if !sent || len(r.signals.asked) == 0 {
		return
	}
	r.service.timers.after(answerTime, func() {
		r.mu.Lock()
		switch {
		case r.gone || question != r.signals.question || len(r.signals.asked) == 0:
		case tries > 1:
			r.question(tries - 1)
		default:
			r.lose(r.signals.asked, answerTime)
		}
		r.mu.Unlock()
		r.flush()
	})
}

// lose forgets the state of servers that are gone and have been silent for at least the given
// time. The caller holds mu.
func (r *room) lose(servers map[string]struct{}, silent time.Duration) {
	for server := range servers {
		delete(r.signals.others, server)
	}
	for i, role := range sides {
		if left := &r.presence.left[i]; left.isNone() {
			*left = now().add(-silent)
		}
		r.presenceChanged(role)
	}
}

// bury forgets the state of dead servers, and asks again when one of them is back or when a
// signal of this room was dropped. It also reads the log, because a dead server may not have
// published its last entries.
func (r *room) bury(all *servers) {
	r.mu.Lock()
	lost := map[string]struct{}{}
	for server, told := range r.signals.others {
		if all.dead(server, told.heard) {
			lost[server] = struct{}{}
		}
	}
	again := r.signals.dropped
	for server := range r.signals.buried {
		again = again || all.lives(server)
	}
	if again {
		r.askAll()
	}
	if len(lost) > 0 {
		if r.signals.buried == nil {
			r.signals.buried = map[string]struct{}{}
		}
		maps.Copy(r.signals.buried, lost)
		r.lose(lost, serverLease)
		r.stale = true
		r.startReading()
	}
	r.mu.Unlock()
	if len(lost) > 0 {
		r.flush()
	}
}

// here returns the state at this server. The caller holds mu.
func (r *room) here() *here {
	h := &here{Marks: r.marks}
	for i, role := range sides {
		h.Present[i] = r.presentHere(role)
	}
	r.signals.told = h.Present
	return h
}

// signal sends a signal if another server wants signals. It returns false if the signal was
// dropped at once. The caller holds mu.
func (r *room) signal(s signal) bool {
	if !r.wantsSignals() {
		return true
	}
	s.Server = r.service.id
	sent := r.send(s)
	r.signals.dropped = r.signals.dropped || !sent
	return sent
}

func (r *room) send(s signal) bool {
	payload, err := json.Marshal(s)
	if err == nil {
		err = r.service.cfg.Broker.Signal(topic(r.chatID), payload)
	}
	if err != nil {
		r.service.logger.Debug("dropped a signal", "chat", wire.ShortID(r.chatID), "error", err)
	}
	return err == nil
}

// announce sends the presence here to the other servers if it has changed, and repeats it soon
// in case the signal was lost. The caller holds mu.
func (r *room) announce() {
	before := r.signals.told
	h := r.here()
	if h.Present == before || !r.wantsSignals() {
		return
	}
	s := signal{Here: h}
	r.signal(s)
	s.Server = r.service.id
	r.repeatLater(s, repeats)
}

func (r *room) repeatLater(s signal, tries int) {
	r.service.timers.after(repeatAfter, func() { r.repeat(s, tries) })
}

// repeat sends an announcement again, unless the presence has changed since. For a closed room
// it tries until the signal is not dropped at once, or the chat has a new room here. An open
// room asks again in that case, see bury.
func (r *room) repeat(s signal, tries int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.signals.told != s.Here.Present:
	case !r.gone:
		r.signal(signal{Here: r.here()})
	case r.service.hasRoom(r.chatID):
	case !r.send(s) && tries > 1:
		r.repeatLater(s, tries-1)
	}
}

// signaled handles a signal.
func (r *room) signaled(payload []byte) {
	var s signal
	if json.Unmarshal(payload, &s) != nil || s.Server == "" || s.Server == r.service.id {
		return
	}
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		return
	}
	if s.Here != nil {
		r.signals.others[s.Server] = toldHere{*s.Here, now()}
		delete(r.signals.asked, s.Server)
		delete(r.signals.buried, s.Server)
		for i, role := range sides {
			r.raise(role, s.Here.Marks[i], nil)
			r.presenceChanged(role)
		}
	}
	if s.Ask { // the log may not say yet that this server wants signals
		r.send(signal{Server: r.service.id, Here: r.here()})
	}
	if s.From.Valid() {
		if s.Mark != nil {
			r.raise(s.From, *s.Mark, nil)
		}
		if s.Typing != nil {
			r.tellTyping(s.From, *s.Typing, s.Text)
		}
	}
	r.mu.Unlock()
	r.flush()
}
