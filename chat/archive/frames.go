package archive

import (
	"strings"
	"time"

	"livesupport/chat/log"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Timestamp formats a time in microseconds since 1970 as the protocol requires.
func Timestamp(at int64) string {
	return time.UnixMicro(at).UTC().Format("2006-01-02T15:04:05.000000Z")
}

// frame is an entry of a log in the form that clients got.
type frame struct {
	Type string `json:"type"`
	Args any    `json:"args"`
}

type messageFrame struct {
	UserID    string   `json:"userId"`
	SupportID string   `json:"supportId"`
	Content   string   `json:"content"`
	Timestamp string   `json:"timestamp"`
	From      log.Role `json:"from"`
	MessageID string   `json:"messageId,omitempty"`
	Seq       int64    `json:"seq"`

	Files []log.File `json:"files,omitempty"`
}

type joinedFrame struct {
	SupportID       string  `json:"supportId"`
	SupportUserName string  `json:"supportUserName"`
	Username        string  `json:"username"`
	UserID          string  `json:"userId"`
	ChatID          string  `json:"chatId"`
	Agent           *string `json:"agent"`
	Timestamp       string  `json:"timestamp"`
}

type leftFrame struct {
	SupportID       string `json:"supportId"`
	SupportUserName string `json:"supportUserName"`
	Reason          string `json:"reason"`
	Timestamp       string `json:"timestamp"`
}

type noteFrame struct {
	Content         string `json:"content"`
	SupportID       string `json:"supportId"`
	SupportUserName string `json:"supportUserName"`
	Timestamp       string `json:"timestamp"`
}

type ratedFrame struct {
	Score     uint8  `json:"score"`
	Comment   string `json:"comment,omitempty"`
	Timestamp string `json:"timestamp"`
}

type closedFrame struct {
	ChatID    string   `json:"chatId"`
	From      log.Role `json:"from"`
	Timestamp string   `json:"timestamp"`
}

// orNull returns nil for an empty string.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// frames returns the frames that a client with all features got, in order, as a JSON array.
func frames(entries []string) (jsontext.Value, error) {
	all := []frame{}
	notes := 0
	replay(entries, func(now step) {
		at := Timestamp(now.at)
		for _, n := range now.Notes[notes:] {
			all = append(all, frame{"Note", noteFrame{n.Content, n.SupportID, n.SupportName, Timestamp(n.At)}})
		}
		notes = len(now.Notes)
		if now.before.ID != "" && now.Support != now.before {
			all = append(all, frame{"SupportLeft", leftFrame{now.before.ID, now.before.Name, reason(now.Released()), at}})
		}
		switch now.event.Kind {
		case log.SupportJoined:
			if now.Support != now.before {
				s := now.Support
				all = append(all, frame{"SupportJoinedUser", joinedFrame{s.ID, s.Name, now.Username, now.UserID, now.ChatID, orNull(s.Agent), at}})
			}
		case log.Messaged:
			m := now.LastMessage()
			all = append(all, frame{"ChatMessage", messageFrame{now.UserID, m.SupportID, m.Content, Timestamp(m.At), m.From, m.MessageID, m.Seq, log.Shown(now.Files(&m))}})
		case log.Rated:
			all = append(all, frame{"Rated", ratedFrame{now.Rating.Score, now.Rating.Comment, Timestamp(now.Rating.At)}})
		case log.Closed:
			all = append(all, frame{"ChatClosed", closedFrame{now.ChatID, now.Closed.From, Timestamp(now.Closed.At)}})
		}
	})
	return json.Marshal(all)
}

// reason returns the reason why a support has left.
func reason(r log.Release) string {
	if r.Lost {
		return "lost"
	}
	return "transfer"
}

// transcript returns the conversation as plain text, without notes.
func transcript(entries []string) string {
	var b strings.Builder
	line := func(at int64, text string) {
		b.WriteString(time.UnixMicro(at).UTC().Format("2006-01-02 15:04:05 "))
		b.WriteString(text)
		b.WriteByte('\n')
	}
	replay(entries, func(now step) {
		if now.before.ID != "" && now.Support != now.before {
			line(now.at, "-- "+now.before.Name+" has left the chat --")
		}
		switch now.event.Kind {
		case log.Registered, log.RegisteredFor:
			line(now.at, "-- "+now.Username+" has started the chat (times are UTC) --")
		case log.SupportJoined:
			if now.Support != now.before {
				line(now.at, "-- "+now.Support.Name+" has joined the chat --")
			}
		case log.Messaged:
			m := now.LastMessage()
			name := now.Username
			if m.From == log.RoleSupport {
				name = now.Support.Name
			}
			line(m.At, name+": "+strings.ReplaceAll(log.WithLines(m.Content, now.Files(&m)), "\n", "\n    "))
		case log.Rated:
			text := "-- " + now.Username + " has rated the chat: " + string('0'+rune(now.Rating.Score)) + " of 5"
			if now.Rating.Comment != "" {
				text += ", " + strings.ReplaceAll(now.Rating.Comment, "\n", "\n    ")
			}
			line(now.Rating.At, text+" --")
		case log.Closed:
			by := now.Username
			if now.Closed.From == log.RoleSupport {
				by = "The support"
			}
			line(now.Closed.At, "-- "+by+" has ended the chat --")
		case log.Ended:
			if now.Closed.From == "" {
				line(now.at, "-- The chat has ended --")
			}
		}
	})
	return b.String()
}
