package chat

import (
	"slices"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// presence is whether a role is there (PROTOCOL.md, "presence"); "" while that is
// not known, or where there is no socket.
type presence string

const (
	online  presence = "online"
	away    presence = "away" // every socket has said so
	offline presence = "offline"
)

// absence is how long a role has no socket before it is told to be offline: a reload
// is not seen.
const absence = 3 * time.Second

// roomPresence is what a room's sessions are told. It is guarded by room.mu.
type roomPresence struct {
	shown [2]presence  // by side
	left  [2]time.Time // since when a side has no socket, as far as is known; zero if it has
}

var errPresence = wire.NewError(wire.BadRequest, `The field "state" must be "online" or "away".`)

// setPresence takes what a session says of itself.
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

// presentHere is how a role is there by the sockets of this server. The caller holds
// mu.
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

// present is how a role is there by all that is known. The caller holds mu.
func (r *room) present(role log.Role) presence {
	state := r.presentHere(role)
	for _, other := range r.signals.others {
		if there := other.Present[side(role)]; state != online && there != "" {
			state = there
		}
	}
	return state
}

// presenceChanged tells the other role's sessions how a role is there now: that it is
// gone once that has lasted. The caller holds mu.
func (r *room) presenceChanged(role log.Role) {
	i, now := side(role), r.present(role)
	left := &r.presence.left[i]
	if role == log.RoleSupport && r.state.Support.ID == "" {
		r.presence.shown[i], *left = "", time.Time{}
		return
	}
	if now != "" {
		*left = time.Time{}
		r.presence.shown[i] = now
		r.showPresence(role)
		return
	}
	if left.IsZero() && (r.presence.shown[i] != "" || r.state.AttendedByOthers(r.service.id)) {
		*left = time.Now()
	}
	if r.presence.shown[i] == offline || !slices.ContainsFunc(r.sessions, (*Session).seesPresence) {
		return
	}
	if wait := time.Until(left.Add(absence)); wait > 0 {
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

// supportCame begins the presence of a new support, whose server may tell of its
// socket a little later, or have done so already. The caller holds mu.
func (r *room) supportCame() {
	r.presence.left[side(log.RoleSupport)] = time.Now()
	r.presenceChanged(log.RoleSupport)
}

func (s *Session) seesPresence() bool { return s.features.has(featurePresence) }

// showPresence tells the other role's sessions what they do not know yet. The caller
// holds mu.
func (r *room) showPresence(role log.Role) {
	state := r.presence.shown[side(role)]
	if state == "" {
		return
	}
	for _, s := range r.sessions {
		if told := &s.toldPresence[side(role)]; s.role != role && s.seesPresence() && *told != state {
			*told = state
			r.queueTo(s, presencePayload(role, state))
		}
	}
}
