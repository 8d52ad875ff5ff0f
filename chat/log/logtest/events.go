// Package logtest makes events for tests of chat logs.
package logtest

import "livesupport/chat/log"

// Registered begins the chat "c" of the user "u".
var Registered = log.Event{Kind: log.Registered, At: 10, UserID: "u", Username: "Nika", ChatID: "c"}

// SupportJoins returns the event of a support who takes the chat.
func SupportJoins(id string) log.Event {
	return log.Event{Kind: log.SupportJoined, At: 20, SupportID: id, SupportName: "name of " + id}
}

// UserSays returns a message of the user.
func UserSays(id, content string) log.Event {
	return log.Event{Kind: log.Messaged, ID: id, At: 30, From: log.RoleUser, Content: content}
}

// SupportSays returns a message of a support.
func SupportSays(id, support, content string) log.Event {
	return log.Event{Kind: log.Messaged, ID: id, At: 30, From: log.RoleSupport, SupportID: support, Content: content}
}

// WithMessageID sets the client's own id of an event.
func WithMessageID(e log.Event, id string) log.Event { e.MessageID = id; return e }

// At sets the time of an event.
func At(e log.Event, t int64) log.Event { e.At = t; return e }

// Closes returns the event of a role, or of a support with its id, that ends the chat.
func Closes(from log.Role, support string) log.Event {
	return log.Event{Kind: log.Closed, At: 40, From: from, SupportID: support}
}

// Reads returns the event of a role that has read the messages up to a number.
func Reads(from log.Role, seq int64) log.Event {
	return log.Event{Kind: log.Read, From: from, Seq: seq}
}

// Rates returns the event of a user who gives a score.
func Rates(score uint8, comment string) log.Event {
	return log.Event{Kind: log.Rated, At: 50, Score: score, Content: comment}
}

// Notes returns the event of a role, or of a support with its id, that writes a note.
func Notes(from log.Role, support, id, content string) log.Event {
	return log.Event{Kind: log.Noted, ID: id, At: 45, From: from, SupportID: support, SupportName: "name of " + support, Content: content}
}

// Attends returns the event of a server that attends with a fold of this version.
func Attends(server string, fold uint8) log.Event {
	return log.Event{Kind: log.Attended, Server: server, Fold: fold}
}

// Announces returns the event that the user waits, after the given number of waits.
func Announces(waits int64) log.Event {
	return log.Event{Kind: log.Announced, At: 15, Seq: waits}
}

// Releases returns the event of a role that transfers the chat of a support.
func Releases(from log.Role, support string) log.Event {
	return log.Event{Kind: log.Released, At: 60, From: from, SupportID: support, SupportName: "name of " + string(from)}
}

// Loses returns the event that a support is gone, after the given number of moves.
func Loses(support string, moves int64) log.Event {
	return log.Event{Kind: log.Released, At: 60, SupportID: support, Lost: true, Seq: moves}
}

// Returns returns the event of a support who takes back a lost chat, after the given number of
// moves.
func Returns(support string, moves int64) log.Event {
	e := SupportJoins(support)
	e.Seq = moves
	return e
}

// Connects returns the event of a server that has sockets of a support.
func Connects(server, support string) log.Event {
	return log.Event{Kind: log.Connected, Server: server, SupportID: support}
}

// Disconnects returns the event of a server that no longer has sockets of a support.
func Disconnects(server, support string) log.Event {
	return log.Event{Kind: log.Disconnected, Server: server, SupportID: support}
}

// Noting adds a note to a release.
func Noting(e log.Event, id, content string) log.Event { e.ID, e.Content = id, content; return e }

// Uploads returns the event of a role, or of a support with its id, that uploads a file to a chat
// that can have most files.
func Uploads(from log.Role, support, fileID string, most int64) log.Event {
	return log.Event{Kind: log.Uploaded, At: 70, From: from, SupportID: support, Seq: most, Files: &log.Files{{
		ID: fileID, Name: fileID + ".png", Type: "image/png", Size: 5, URL: "/files/" + fileID, Address: "https://x/files/" + fileID,
	}}}
}

// Discards returns the event that removes a file.
func Discards(fileID string) log.Event {
	return log.Event{Kind: log.Discarded, Files: &log.Files{{ID: fileID}}}
}

// Carrying adds files to a message.
func Carrying(e log.Event, fileIDs ...string) log.Event {
	files := log.Files{}
	for _, id := range fileIDs {
		files = append(files, log.File{ID: id})
	}
	e.Files = &files
	return e
}

// AnyEvent returns one of 256 events that conflict with each other.
func AnyEvent(choice byte) log.Event {
	n := choice / 10 // 0 to 25
	pick := func(of ...string) string { return of[int(n)%len(of)] }
	switch choice % 10 {
	case 0:
		return Registered
	case 1:
		e := SupportJoins(pick("s1", "s2", "s3"))
		e.Server = pick("A", "B")
		return e
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
	return rare[int(n)%len(rare)]
}

// rare are events that tests need only seldom.
var rare = []log.Event{
	{},
	{Kind: "later"},
	{Kind: log.Messaged, From: "Bot"},
	Reads(log.RoleUser, 1),
	Reads(log.RoleSupport, 2),
	Reads("Bot", 1),
	Rates(5, "fine"),
	Rates(0, ""),
	Attends("A", log.Version),
	Attends("C", 1),
	Notes(log.RoleObserver, "", "n1", "canary"),
	Notes(log.RoleSupport, "s1", "1", "canary"),
	Notes(log.RoleUser, "", "n2", "canary"),
	Closes(log.RoleSupport, "s2"),
	Closes(log.RoleObserver, ""),
	Closes(log.RoleUser, ""),
	Noting(Releases(log.RoleSupport, "s1"), "r1", "canary"),
	Releases(log.RoleObserver, "s2"),
	Releases(log.RoleUser, "s1"),
	Loses("s1", 1),
	Loses("s2", 2),
	Returns("s1", 2),
	Returns("s2", 3),
	Connects("B", "s1"),
	Disconnects("A", "s1"),
	Disconnects("B", "s1"),
	Announces(0),
	Uploads(log.RoleUser, "", "f1", 2),
	Uploads(log.RoleSupport, "s1", "f2", 2),
	Uploads("Bot", "", "f3", 2),
	Discards("f1"),
	Discards("f2"),
	Carrying(UserSays("20", ""), "f1"),
	Carrying(UserSays("21", "x"), "f1", "f2"),
}
