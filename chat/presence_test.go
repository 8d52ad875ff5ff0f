package chat

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby"
)

const allFeatures = `["receipts","typing","presence","close","rating"]`

func (p *peer) joinUserWith(u lobby.User, features string) *peer {
	p.send(`{"type":"Join","args":{"userId":%q,"from":"User","features":%s}}`, u.UserID, features)
	return p
}

func (p *peer) joinSupportWith(u lobby.User, supportID, features string) *peer {
	p.send(`{"type":"Join","args":{"userId":%q,"supportId":%q,"supportUserName":"Vika","from":"Support","features":%s}}`, u.UserID, supportID, features)
	return p
}

// states are what a peer was told of the other side, in order.
func (p *peer) states() (states []string) {
	for _, frame := range p.frames(`{"type":"Presence"`) {
		_, state, _ := strings.Cut(frame, `"state":"`)
		states = append(states, strings.TrimSuffix(state, `"}}`))
	}
	return states
}

func (p *peer) lastState() string {
	if states := p.states(); len(states) > 0 {
		return states[len(states)-1]
	}
	return ""
}

// Sockets of both sides come, go, and say that they are away, on three servers whose signals are
// lost one time in five. Soon afterwards everybody knows the truth, and nobody was told a state
// twice in a row.
func TestPresenceConverges(t *testing.T) {
	t.Parallel()
	d := deploy(t, 3, time.Minute, 1)
	random := rand.New(rand.NewSource(2))
	u := d.register()
	support := d.services[0].connect(u.ChatID).joinSupportWith(u, "", allFeatures)
	if support.session.room == nil {
		t.Fatal("not joined")
	}
	id := support.session.supportID
	watchers := map[log.Role]*peer{
		log.RoleUser:    d.services[1].connect(u.ChatID).joinUserWith(u, allFeatures),
		log.RoleSupport: support,
	}
	type socket struct {
		*peer
		role log.Role
		away bool
	}
	var sockets []*socket
	for range 60 {
		switch choice := random.Intn(3); {
		case choice == 0 && len(sockets) < 6:
			s := d.services[random.Intn(3)]
			if role := sides[random.Intn(2)]; role == log.RoleUser {
				sockets = append(sockets, &socket{s.connect(u.ChatID).joinUserWith(u, `[]`), role, false})
			} else {
				sockets = append(sockets, &socket{s.connect(u.ChatID).joinSupportWith(u, id, `[]`), role, false})
			}
		case choice == 1 && len(sockets) > 0:
			i := random.Intn(len(sockets))
			sockets[i].session.Closed()
			sockets = append(sockets[:i], sockets[i+1:]...)
		case len(sockets) > 0:
			s := sockets[random.Intn(len(sockets))]
			s.away = !s.away
			s.send(`{"type":"Presence","args":{"state":%q}}`, map[bool]presence{true: away, false: online}[s.away])
		}
	}
	for role, w := range watchers { // from now on only the others count
		w.send(`{"type":"Presence","args":{"state":"away"}}`)
		_ = role
	}
	for _, role := range sides {
		want := string(away) // the watcher
		for _, s := range sockets {
			if s.role == role && !s.away {
				want = online.String()
			}
		}
		other := watchers[sides[1-side(role)]]
		eventually(t, fmt.Sprintf("the %s is told to be %s", role, want), func() bool { return other.lastState() == want })
		states := other.states()
		for i := range states[1:] {
			if states[i] == states[i+1] {
				t.Errorf("told twice in a row: %v", states)
			}
		}
	}
}

// A server that dies has no time to say so.
func TestPresenceOfADeadServer(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, time.Minute, 1)
	d.broker.set(func(l *lossy) { l.reliable = true })
	u := d.register()
	d.services[1].connect(u.ChatID).joinUserWith(u, allFeatures)
	support := d.services[0].connect(u.ChatID).joinSupportWith(u, "", allFeatures)
	eventually(t, "the user is there", func() bool { return support.lastState() == online.String() })
	room := support.session.room
	room.mu.Lock()
	for server, told := range room.signals.others {
		told.heard = now().add(-2 * serverLease)
		room.signals.others[server] = told
	}
	room.mu.Unlock()
	room.bury(&servers{})
	// It was only slow. Its lease is still there, so it is asked again.
	want := []string{online.String(), offline.String(), online.String()}
	eventually(t, "the user is gone, and is back", func() bool { return slices.Equal(support.states(), want) })
}
