// Package logtest is the vocabulary of tests that are about chats' logs.
package logtest

import "livesupport/chat/log"

// Registered begins the chat "c" of the user "u".
var Registered = log.Event{Kind: log.Registered, At: 10, UserID: "u", Username: "Nika", ChatID: "c"}

// SupportJoins is the event of a support who takes the chat.
func SupportJoins(id string) log.Event {
	return log.Event{Kind: log.SupportJoined, At: 20, SupportID: id, SupportName: "name of " + id}
}

// UserSays is a message of the user.
func UserSays(id, content string) log.Event {
	return log.Event{Kind: log.Messaged, ID: id, At: 30, From: log.RoleUser, Content: content}
}

// SupportSays is a message of a support.
func SupportSays(id, support, content string) log.Event {
	return log.Event{Kind: log.Messaged, ID: id, At: 30, From: log.RoleSupport, SupportID: support, Content: content}
}

// WithMessageID gives an event a client's own id.
func WithMessageID(e log.Event, id string) log.Event { e.MessageID = id; return e }

// At gives an event a time.
func At(e log.Event, t int64) log.Event { e.At = t; return e }

// Closes is the event of a role, as a support with its id, that ends the chat.
func Closes(from log.Role, support string) log.Event {
	return log.Event{Kind: log.Closed, At: 40, From: from, SupportID: support}
}

// Reads is the event of a role that has read the messages up to a number.
func Reads(from log.Role, seq int64) log.Event {
	return log.Event{Kind: log.Read, From: from, Seq: seq}
}

// Rates is the event of a user who gives a score.
func Rates(score uint8, comment string) log.Event {
	return log.Event{Kind: log.Rated, At: 50, Score: score, Content: comment}
}

// Notes is the event of a role, as a support with its id, that leaves a note.
func Notes(from log.Role, support, id, content string) log.Event {
	return log.Event{Kind: log.Noted, ID: id, At: 45, From: from, SupportID: support, SupportName: "name of " + support, Content: content}
}

// Attends is the event of a server with a fold of this version.
func Attends(server string, fold uint8) log.Event {
	return log.Event{Kind: log.Attended, Server: server, Fold: fold}
}

// AnyEvent makes one of 256 events that get into each other's way.
func AnyEvent(choice byte) log.Event {
	n := choice / 10
	pick := func(of ...string) string { return of[int(n)%len(of)] }
	switch choice % 10 {
	case 0:
		return Registered
	case 1:
		return SupportJoins(pick("s1", "s2", "s3"))
	case 2:
		return log.Event{Kind: log.Attended, Server: pick("A", "B", "")}
	case 3, 4:
		return At(UserSays(pick("1", "2", "3", "4", "5"), "u"), int64(100-n))
	case 5:
		return WithMessageID(UserSays(pick("6", "7", "8"), "v"), pick("1", "m", "n", "o"))
	case 6, 7:
		return SupportSays(pick("1", "9", "10"), pick("s1", "s2", "s3", ""), "s")
	case 8:
		return WithMessageID(SupportSays(pick("11", "12", "13"), pick("s1", "s2"), "t"), pick("m", "n"))
	}
	switch n % 8 {
	case 0:
		return log.Event{Kind: log.Kind(pick("", "later", "message")), From: log.Role(pick("", "Bot"))}
	case 1, 2, 3:
		return Reads(log.Role(pick("User", "Support", "Bot")), int64(n)-2)
	case 4:
		return Rates(n%7, pick("", "fine"))
	case 5:
		return Attends(pick("A", "B", "C"), n%2)
	case 6:
		return Notes(log.Role(pick("Observer", "Support", "User")), pick("s1", "s2", ""), pick("1", "n1", "n2", "n3"), "canary")
	}
	return Closes(log.Role(pick("User", "Support", "Bot", "Observer")), pick("s1", "s2", ""))
}
