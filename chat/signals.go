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
	// answerTime is how long the others have to tell what they have, until they are
	// asked again; who has not answered any of the questions has no room any more.
	answerTime = 2 * time.Second
	questions  = 3
	// repeatAfter is when a server tells again what has changed, lest it was lost.
	repeatAfter = 5 * time.Second
	// repeats is how often, at most: then its lease has run out.
	repeats = 4
)

// signals is a room's part in them. It is guarded by room.mu.
type signals struct {
	subscription broker.Subscription // nil while nobody wants them
	others       map[string]toldHere // by server
	asked        map[string]struct{} // who has not answered yet
	question     int                 // counts the questions
	dropped      bool                // a signal, since the last question
	buried       map[string]struct{} // servers that counted as dead, and were not heard since
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
	r.askAll()
	r.mu.Unlock()
}

// askAll is ask. The caller holds mu.
func (r *room) askAll() {
	r.signals.asked = map[string]struct{}{}
	for server := range r.signals.others {
		r.signals.asked[server] = struct{}{}
	}
	clear(r.signals.buried)
	r.signals.dropped = false
	r.question(questions)
}

// question sends a question, and up to so many while somebody has not answered. The
// caller holds mu.
func (r *room) question(tries int) {
	if !r.state.AttendedByOthers(r.service.id) {
		return
	}
	r.signals.question++
	question := r.signals.question
	// Who does not want to hear answers all the same.
	sent := r.send(signal{Server: r.service.id, Here: r.here(), Ask: true})
	r.signals.dropped = r.signals.dropped || !sent // then the room asks anew, see bury
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

// lose forgets what servers have told that are there no more, and have been silent for
// so long at least. The caller holds mu.
func (r *room) lose(servers map[string]struct{}, silent time.Duration) {
	for server := range servers {
		delete(r.signals.others, server)
	}
	for i, role := range sides {
		if left := &r.presence.left[i]; left.IsZero() {
			*left = time.Now().Add(-silent)
		}
		r.presenceChanged(role)
	}
}

// bury forgets what dead servers have told, and asks anew when one of them is back, or
// when a signal of this room was dropped. What a dead server has appended it may not
// have told.
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

// here is what this server has. The caller holds mu.
func (r *room) here() *here {
	h := &here{Marks: r.marks}
	for i, role := range sides {
		h.Present[i] = r.presentHere(role)
	}
	r.signals.told = h.Present
	return h
}

// signal tells the other servers, if one of them wants to hear, and reports whether
// it has not been dropped already. The caller holds mu.
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
		r.service.logger.Debug("a signal was dropped", "chat", wire.ShortID(r.chatID), "error", err)
	}
	return err == nil
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
	r.repeatLater(s, repeats)
}

func (r *room) repeatLater(s signal, tries int) {
	r.service.timers.after(repeatAfter, func() { r.repeat(s, tries) })
}

// repeat sends what was announced, unless that has changed since. For a room that is
// gone it tries until the signal is not dropped at once, or another room is there to
// tell what the chat has here; a room that lives asks anew in that case, see bury.
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
		delete(r.signals.buried, s.Server)
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
