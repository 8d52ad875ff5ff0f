package webhook

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"livesupport/chat/follow"
	"livesupport/chat/log"
)

// OfLog returns the events of a whole log, as they were sent while the chat was live.
func OfLog(chatID string, entries []string) []follow.Event {
	var all []follow.Event
	var s log.State
	var past log.Past
	for i, entry := range entries {
		e := log.Decode([]byte(entry))
		before := s.Support
		past = past.Then(int64(i)+1, entry)
		if s.Apply(e) == log.Applied {
			all = append(all, Events(follow.Entry{ChatID: chatID, Position: int64(i) + 1, Past: past, Event: e, State: &s, Before: before, At: s.Time()})...)
		}
	}
	return all
}

// OfLeft returns the event of a left message. message is its JSON object.
func OfLeft(messageID string, at time.Time, message []byte) follow.Event {
	e := log.Event{Kind: log.Left, ID: messageID, At: at.UnixMicro(), Content: string(message)}
	return Events(follow.Entry{ChatID: messageID, Position: 1, Event: e, At: e.At})[0]
}

// Test returns an event for testing a receiver.
func Test(id string, at time.Time) follow.Event {
	return follow.Event{ID: "test-" + id, At: at.UnixMicro(), Body: encode("test", at.UnixMicro(), jsontext.Value("{}"))}
}
