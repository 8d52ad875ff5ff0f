package chat

import (
	"slices"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// presence says whether a role is online, away or offline (web/api/README.md, "presence").
// Its text form is that of the protocol.
type presence uint8

const (
	unknown presence = iota // or no socket
	online
	away // all sockets have said so
	offline
)

var presences = [...]string{"", "online", "away", "offline"}

func (p presence) String() string { return presences[p] }

func (p presence) MarshalText() ([]byte, error) { return []byte(presences[p]), nil }

// UnmarshalText maps unknown words to unknown.
func (p *presence) UnmarshalText(text []byte) error {
	*p = presence(max(0, slices.Index(presences[:], string(text))))
	return nil
}

// absence is how long a role must have no socket before it is shown as offline. A reload of
// the page is shorter.
const absence = 3 * time.Second

// roomPresence is the presence that a room's sessions see. room.mu guards it.
type roomPresence struct {
	shown [2]presence // by side
	left  [2]moment   // since when a side has no socket, as far as is known; zero if it has
}

var errPresence = wire.NewError(wire.BadRequest, `The field "state" must be "online" or "away".`)

// setPresence handles a session's Presence.
func (r *room) setPresence(s *Session, state presence) error {
	if state != online && state != away {
		return errPresence
	}
	r.mu.Lock()
	s.away = state == away
	r.presenceChanged(s.role)
	r.announce()
	r.mu.Unlock()
	r.flush()
	return nil
}

// presentHere returns a role's presence according to the sockets of this server. The caller
// holds mu.
func (r *room) presentHere(role log.Role) (state presence) {
	for _, s := range r.sessions {
		switch {
		case s.role != role:
		case !s.away:
			return online
		default:
			state = away
		}
	}
	return state
}

// present returns a role's presence according to all servers. The caller holds mu.
func (r *room) present(role log.Role) presence {
	state := r.presentHere(role)
	for _, other := range r.signals.others {
		if there := other.Present[side(role)]; state != online && there != unknown {
			state = there
		}
	}
	return state
}

// presenceChanged sends a role's new presence to the other role's sessions. It sends offline
// only after absence. The caller holds mu.
func (r *room) presenceChanged(role log.Role) {
	i, there := side(role), r.present(role)
	left := &r.presence.left[i]
	if role == log.RoleSupport && r.state.Support.ID == "" {
		r.presence.shown[i], *left = unknown, 0
		return
	}
	if there != unknown {
		*left = 0
		r.presence.shown[i] = there
		r.showPresence(role)
		return
	}
	if left.isNone() && (r.presence.shown[i] != unknown || r.state.AttendedByOthers(r.service.id)) {
		*left = now()
	}
	if r.presence.shown[i] == offline || !slices.ContainsFunc(r.sessions, (*Session).seesPresence) {
		return
	}
	if wait := left.add(absence).until(); wait > 0 {
		r.service.timers.after(wait, func() {
			r.mu.Lock()
			if !r.gone {
				r.presenceChanged(role)
			}
			r.mu.Unlock()
			r.flush()
		})
		return
	}
	r.presence.shown[i] = offline
	r.showPresence(role)
}

// supportCame begins the presence of a new support. The support's server may report the
// socket later or may have done so already. The caller holds mu.
func (r *room) supportCame() {
	r.presence.left[side(log.RoleSupport)] = now()
	r.presenceChanged(log.RoleSupport)
}

func (s *Session) seesPresence() bool { return s.features.has(featurePresence) }

// showPresence sends a role's presence to those sessions of the other role that do not know
// it yet. The caller holds mu.
func (r *room) showPresence(role log.Role) {
	state := r.presence.shown[side(role)]
	if state == unknown {
		return
	}
	for _, s := range r.sessions {
		if told := &s.toldPresence[side(role)]; s.role != role && s.seesPresence() && *told != state {
			*told = state
			r.queueTo(s, presencePayload(role, state))
		}
	}
}
