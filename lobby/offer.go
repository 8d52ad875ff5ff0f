package lobby

import (
	"cmp"
	"context"
	"slices"
	"time"

	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json/jsontext"
)

// shownOffer is an offer that a socket was sent.
type shownOffer struct {
	userID  string
	expires int64
}

// setOffer takes over that a chat is offered to an agent, or no longer offered. The caller
// holds mu.
func (l *Lobby) setOffer(o offerNews) {
	s := &l.staff
	before, was := s.offers[o.chatID]
	if o.agent == "" {
		delete(s.offers, o.chatID)
	} else {
		s.offers[o.chatID] = o
	}
	if before.agent != o.agent && was {
		l.showOffer(before.agent, o.chatID)
	}
	if before.agent == o.agent && before.expires == o.expires && before.user != o.user {
		l.changes.offered[o.chatID] = struct{}{}
	}
	l.showOffer(o.agent, o.chatID)
}

// keepOffers forgets all other offers. The caller holds mu.
func (l *Lobby) keepOffers(open []offerNews) {
	still := make(map[string]bool, len(open))
	for _, o := range open {
		still[o.chatID] = true
	}
	for chatID := range l.staff.offers {
		if !still[chatID] {
			l.setOffer(offerNews{chatID: chatID})
		}
	}
}

// showOffer sends an agent's sockets the current state of a chat's offer. The caller holds
// mu.
func (l *Lobby) showOffer(agent, chatID string) {
	if p := l.staff.people[agent]; p != nil {
		for _, a := range p.sockets {
			a.showOffer(chatID)
		}
	}
}

// showOffer sends a socket the current state of an offer. The caller holds Lobby.mu.
func (a *Agent) showOffer(chatID string) {
	s := &a.lobby.staff
	shown, was := a.offered[chatID]
	o, is := s.offers[chatID]
	is = is && o.agent == a.id && a.lists.has(listsOffers)
	if was && (!is || shown.expires != o.expires) {
		delete(a.offered, chatID)
		if a.accepting == chatID { // the socket that accepts gets another answer
			a.accepting = acceptedOver
		} else {
			a.queue(offerGonePayload(shown.userID))
			s.told = append(s.told, a)
		}
		was = false
	}
	if is && !was {
		if a.offered == nil {
			a.offered = map[string]shownOffer{}
		}
		a.offered[chatID] = shownOffer{o.user.UserID, o.expires}
		s.late = append(s.late, lateFrames{a, a.lobby.cfg.Frame(o.payload(a.group.audience))})
	}
}

// showOffers sends a socket all open offers of its agent, as after a Load. The caller holds
// Lobby.mu.
func (a *Agent) showOffers() {
	clear(a.offered)
	var open []offerNews
	for _, o := range a.lobby.staff.offers {
		if o.agent == a.id {
			open = append(open, o)
		}
	}
	slices.SortFunc(open, longestWait)
	for _, o := range open {
		a.showOffer(o.chatID)
	}
	a.lobby.deliverLate()
}

// longestWait orders offers: ended ones first, then the longest waiting users.
func longestWait(a, b offerNews) int {
	return cmp.Or(cmp.Compare(a.user.Since, b.user.Since), cmp.Compare(a.chatID, b.chatID))
}

func (o *offerNews) payload(to audience) []byte {
	return wire.Encode("Offer", struct {
		extended
		Expires string `json:"expires"`
		From    string `json:"from,omitzero"`
		Note    string `json:"note,omitzero"`
	}{o.user.shownTo(to), timestamp(o.expires * 1000), o.text.From, o.text.Note})
}

func offerGonePayload(userID string) []byte {
	return wire.Encode("OfferGone", struct {
		UserID string `json:"userId"`
	}{userID})
}

// decline handles a Decline.
func (a *Agent) decline(args jsontext.Value, deadline time.Time) *wire.Error {
	u, refusal := userOf(args)
	if refusal != nil {
		return refusal
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if err := a.lobby.cfg.Queue.Decline(ctx, u.ChatID, u.UserID, a.id); err != nil {
		a.lobby.cfg.Log.Warn("cannot decline an offer", "chat", wire.ShortID(u.ChatID), "error", err)
		return wire.Public(err)
	}
	if err := a.lobby.refresh(ctx); err != nil {
		a.lobby.cfg.Log.Warn("cannot read the queue after a Decline", "error", err)
	}
	return nil
}
