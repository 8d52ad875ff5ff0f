package webhook

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"livesupport/chat/follow"
	"livesupport/chat/log"
)

// event is the body that a receiver gets.
type event struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      any    `json:"data"`
}

// about identifies the chat. The data of every event begins with it.
type about struct {
	ChatID   string `json:"chatId"`
	UserID   string `json:"userId"`
	Username string `json:"username"`
}

type supportData struct {
	about
	SupportID       string  `json:"supportId"`
	SupportUserName string  `json:"supportUserName"`
	Agent           *string `json:"agent"` // null without tokens
	Reason          string  `json:"reason,omitempty"`
}

type messageData struct {
	about
	SupportID string   `json:"supportId"`
	Content   string   `json:"content"`
	Timestamp string   `json:"timestamp"`
	From      log.Role `json:"from"`
	MessageID string   `json:"messageId,omitempty"`
	Seq       int64    `json:"seq"`
	Files     []file   `json:"files,omitempty"`
}

type file struct {
	FileID string `json:"fileId"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Size   int64  `json:"size"`
	URL    string `json:"url"`
}

type ratedData struct {
	about
	Score   uint8  `json:"score"`
	Comment string `json:"comment,omitempty"`
}

type closedData struct {
	about
	From log.Role `json:"from"`
}

// Events returns the events of an entry of a log. There is no case for a note, because notes
// never leave the support's side.
func Events(e follow.Entry) []follow.Event {
	if e.Event.Kind == log.Left {
		return events(e, "message.left", jsontext.Value(e.Event.Content))
	}
	chat := about{e.ChatID, e.State.UserID, e.State.Username}
	switch e.Event.Kind {
	case log.Announced:
		return events(e, "chat.waiting", chat)
	case log.SupportJoined:
		if s := e.State.Support; s != e.Before {
			return events(e, "chat.taken", supportData{chat, s.ID, s.Name, orNull(s.Agent), ""})
		}
	case log.Released:
		reason := "transfer"
		if e.State.Released().Lost {
			reason = "lost"
		}
		s := e.Before
		released := supportData{chat, s.ID, s.Name, orNull(s.Agent), reason}
		return append(events(e, "chat.released", released), events(e, "chat.waiting", chat)...)
	case log.Messaged:
		m := e.State.LastMessage()
		var files []file
		for _, f := range e.State.Files(&m) {
			files = append(files, file{f.ID, f.Name, f.Type, f.Size, f.URL})
		}
		return events(e, "chat.message", messageData{chat, m.SupportID, m.Content, timestamp(m.At), m.From, m.MessageID, m.Seq, files})
	case log.Rated:
		return events(e, "chat.rated", ratedData{chat, e.State.Rating.Score, e.State.Rating.Comment})
	case log.Closed:
		return events(e, "chat.closed", closedData{chat, e.State.Closed.From})
	case log.Ended:
		if e.State.Closed.From == "" {
			return events(e, "chat.expired", chat)
		}
	}
	return nil
}

// Events implements follow.Listener.
func (r *Receiver) Events(e follow.Entry) []follow.Event { return Events(e) }

// events makes the event of an entry. Its id consists of the chat's id, the position, and what the log
// was up to there: after the store has lost the end of a log, its positions are given again. The event
// of the wait that a release begins has the same id with an ending. A left message has an id of its own.
func events(e follow.Entry, kind string, data any) []follow.Event {
	id := e.ChatID + "-" + strconv.FormatInt(e.Position, 10)
	if e.Event.Kind != log.Left {
		id += "-" + e.Past.String()
	}
	if kind == "chat.waiting" && e.Event.Kind == log.Released {
		id += "-waiting"
	}
	return []follow.Event{{ID: id, At: e.At, Body: encode(kind, e.At, data)}}
}

func encode(kind string, at int64, data any) []byte {
	b, err := json.Marshal(event{kind, timestamp(at), data})
	if err != nil {
		panic(err) // strings were checked to be valid UTF-8
	}
	return b
}

func timestamp(at int64) string {
	return time.UnixMicro(at).UTC().Format("2006-01-02T15:04:05.000000Z")
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
