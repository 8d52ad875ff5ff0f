package lobby

import "livesupport/lobby/wire"

// event is what travels on Topic, and to agents.
type event struct {
	Kind string
	User // for RemoveUser only the UserID is set
}

// Kinds of the events.
const (
	kindUserJoined = "UserJoined"
	kindRemoveUser = "RemoveUser"
	// kindUserChanged is in the queue's log, not on Topic, and goes to agents who ask
	// for details.
	kindUserChanged = "UserChanged"
)

// decodeEvent takes what anyone may have published; ok is false for what agents
// must not get.
func decodeEvent(payload []byte) (e event, ok bool) {
	kind, args, err := wire.Decode(payload)
	if err != nil || wire.DecodeArgs(args, &e.User) != nil {
		return event{}, false
	}
	e.Kind = kind
	switch kind {
	case kindUserJoined:
		return e, e.UserID != "" && e.ChatID != "" && e.Username != ""
	case kindRemoveUser:
		return e, e.UserID != ""
	}
	return event{}, false
}

// decodeLogged takes an event of the queue's own log, with what is known of its
// user.
func decodeLogged(logged entry) (e event, ok bool) {
	kind, args, err := wire.Decode(logged.payload)
	if err != nil {
		return event{}, false
	}
	switch kind {
	case kindRemoveUser:
		return decodeEvent(logged.payload)
	case kindUserJoined, kindUserChanged:
		known := logged.record
		if len(known) == 0 { // gone meanwhile, or of a server that knows no records
			known = args
		}
		e.Kind = kind
		e.User, ok = parseRecord(known)
		return e, ok
	}
	return event{}, false
}

// payload encodes an event for an audience.
func (e event) payload(to audience) []byte {
	if e.Kind == kindRemoveUser {
		return wire.Encode(e.Kind, struct {
			UserID string `json:"userId"`
		}{e.UserID})
	}
	return wire.Encode(e.Kind, e.shownTo(to))
}
