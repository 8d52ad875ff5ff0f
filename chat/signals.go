package chat

import (
	"slices"
	"time"

	"livesupport/broker"
	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
)

// A chat's servers tell each other what passes: marks, typing, and who is there
// (DESIGN: "Passing signals are not publications"). They do so once one of them has
// said in the log that it wants to hear it, because one of its sessions has listed
// such a feature. Nothing of it is stored.

// signal is what one server tells the others of a chat.
type signal struct {
	Server string `json:"server"`
	// Here is what the server has. With Ask the others tell theirs.
	Here *here `json:"here,omitempty"`
	Ask  bool  `json:"ask,omitzero"`
	// From is whose Mark has grown, or who is Typing, and what (Text).
	From   log.Role `json:"from,omitempty"`
	Mark   *mark    `json:"mark,omitempty"`
	Typing *bool    `json:"typing,omitempty"`
	Text   *string  `json:"text,omitempty"`
}

// here is what a server has of a chat: which side is there, and how far each has got.
type here struct {
	Present [2]presence `json:"present"` // "" for a side that has no socket there
	Marks   marks       `json:"marks"`
}

// toldHere is what another server has told, and when.
type toldHere struct {
	here
	heard time.Time
}

const (
	// answerTime is how long the others have to tell what they have.
	answerTime = 3 * time.Second
	// repeatAfter is when a server tells again what has changed, lest it was lost.
	repeatAfter = 5 * time.Second
)

// signals is a room's part in them. It is guarded by room.mu.
type signals struct {
	subscription broker.Subscription // nil while nobody wants them
	others       map[string]toldHere // by server
	asked        map[string]struct{} // who has not answered yet
	question     int                 // counts the questions
	told         [2]presence         // what this server has told last
}

// wantsSignals reports whether another server wants to hear. The caller holds mu.
func (r *room) wantsSignals() bool {
	return slices.ContainsFunc(r.state.Servers, func(s log.Server) bool { return s.Signals && s.ID != r.service.id })
}

// listen takes part in the signals from now on. The caller holds mu.
func (r *room) listen() {
	if r.signals.subscription != nil || r.gone {
		return
	}
	r.signals.others = map[string]toldHere{}
	r.signals.subscription = r.service.cfg.Broker.Listen(topic(r.chatID), r.signaled, r.ask)
}

// ask tells the others what is here and has them tell the same: at first, and
// whenever signals may have been lost.
func (r *room) ask() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signals.question++
	r.signals.asked = map[string]struct{}{}
	for server := range r.signals.others {
		r.signals.asked[server] = struct{}{}
	}
	r.signal(signal{Here: r.here(), Ask: true})
	if len(r.signals.asked) == 0 {
		return
	}
	question := r.signals.question
	r.service.timers.after(answerTime, func() {
		r.mu.Lock()
		if question == r.signals.question && !r.gone {
			r.lose(r.signals.asked)
		}
		r.mu.Unlock()
		r.flush()
	})
}

// lose forgets what servers have told that are there no more. The caller holds mu.
func (r *room) lose(servers map[string]struct{}) {
	for server := range servers {
		delete(r.signals.others, server)
	}
	r.presenceChanged(log.RoleUser)
	r.presenceChanged(log.RoleSupport)
}

// bury forgets what dead servers have told.
func (r *room) bury(dead func(server string, heard time.Time) bool) {
	r.mu.Lock()
	lost := map[string]struct{}{}
	for server, told := range r.signals.others {
		if dead(server, told.heard) {
			lost[server] = struct{}{}
		}
	}
	if len(lost) > 0 {
		r.lose(lost)
	}
	r.mu.Unlock()
	if len(lost) > 0 {
		r.flush()
	}
}

// here is what this server has. The caller holds mu.
func (r *room) here() *here {
	h := &here{Marks: r.marks}
	for i, role := range sides {
		h.Present[i] = r.presentHere(role)
	}
	r.signals.told = h.Present
	return h
}

// signal tells the other servers, if one of them wants to hear. The caller holds mu.
func (r *room) signal(s signal) {
	if !r.wantsSignals() {
		return
	}
	s.Server = r.service.id
	r.send(s)
}

func (r *room) send(s signal) {
	payload, err := json.Marshal(s)
	if err == nil {
		err = r.service.cfg.Broker.Signal(topic(r.chatID), payload)
	}
	if err != nil {
		r.service.logger.Debug("a signal was dropped", "chat", wire.ShortID(r.chatID), "error", err)
	}
}

// announce tells the other servers who is here, if that has changed, and soon once
// more, lest it was lost. The caller holds mu.
func (r *room) announce() {
	before := r.signals.told
	h := r.here()
	if h.Present == before || !r.wantsSignals() {
		return
	}
	s := signal{Here: h}
	r.signal(s)
	s.Server = r.service.id
	r.service.timers.after(repeatAfter, func() { r.repeat(s) })
}

// repeat sends what was announced, unless that has changed since: on a room that is
// gone, unless another one tells what is there now.
func (r *room) repeat(s signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.signals.told != s.Here.Present:
	case !r.gone:
		r.signal(signal{Here: r.here()})
	case !r.service.hasRoom(r.chatID):
		r.send(s)
	}
}

// signaled takes a signal.
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
		r.signals.others[s.Server] = toldHere{*s.Here, time.Now()}
		delete(r.signals.asked, s.Server)
		for i, role := range sides {
			r.raise(role, s.Here.Marks[i], nil)
			r.presenceChanged(role)
		}
	}
	if s.Ask { // it may not have said in the log yet that it wants to hear
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
