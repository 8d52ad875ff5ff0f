package chat

import (
	"livesupport/chat/log"
	"livesupport/lobby/wire"
)

// rebuild starts again from a log whose end was lost, and sends sessions what they have not
// seen. The caller holds mu.
func (r *room) rebuild(entries []string) {
	r.service.logger.Error("the store has lost the end of a chat's log", "chat", wire.ShortID(r.chatID))
	seen := r.state
	r.state = log.State{}
	r.letGo()
	sessions := r.sessions
	for i, entry := range entries {
		e := log.Decode([]byte(entry))
		if told(&seen, &e) {
			r.sessions = nil
			r.apply(int64(i)+1, e)
			r.sessions = sessions
		} else {
			r.apply(int64(i)+1, e)
			sessions = r.sessions // some sessions may have been removed
		}
	}
	if r.waits() && !r.waiting {
		r.wait()
	}
	r.supportMoved(now())
}

// told reports whether sessions that have seen a chat in this state know an event.
func told(seen *log.State, e *log.Event) bool {
	switch e.Kind {
	case log.Messaged:
		_, old := seen.Find(e.From, e.MessageID, e.ID)
		return old
	case log.SupportJoined:
		return e.SupportID == seen.Support.ID || seen.Had(e.SupportID)
	case log.Released:
		return seen.Had(e.SupportID)
	case log.Closed:
		return seen.Closed.From != ""
	case log.Noted:
		return seen.HasNote(e.ID)
	case log.Rated:
		return e.Score == seen.Rating.Score && e.Content == seen.Rating.Comment
	}
	return false
}
