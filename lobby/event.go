package lobby

import "livesupport/lobby/wire"

// event is an event on Topic, and for agents.
type event struct {
	Kind string
	User // for RemoveUser only the UserID is set
}

// Kinds of the events.
const (
	kindUserJoined = "UserJoined"
	kindRemoveUser = "RemoveUser"
	// kindUserChanged is in the queue's log but not on Topic. Agents who ask for details
	// get it.
	kindUserChanged = "UserChanged"
)

// decodeEvent decodes a payload of Topic, where anybody can publish. ok is false for
// payloads that agents must not get.
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

// decodeLogged decodes an event of the queue's own log, with the record of its user.
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
		if len(known) == 0 { // gone meanwhile, or from a server without records
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
