package chat

import (
	"strconv"
	"sync"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
)

// This file has the messages of port 9000 (web/api/README.md, "Chat server, port 9000").
// The types of requests only have the fields that are used.

const (
	kindJoin        = "Join"
	kindChatMessage = "ChatMessage"
	kindReceipt     = "Receipt"
	kindTyping      = "Typing"
	kindPresence    = "Presence"
	kindCloseChat   = "CloseChat"
	kindRate        = "Rate"
	kindNote        = "Note"
	kindTransfer    = "Transfer"
)

type joinArgs struct {
	UserID          string         `json:"userId"`
	Username        string         `json:"username"` // ignored: the registered name is used
	SupportID       string         `json:"supportId"`
	SupportUserName string         `json:"supportUserName"`
	From            log.Role       `json:"from"`
	Features        []string       `json:"features"`
	Heartbeat       wire.Heartbeat `json:"heartbeat"`
}

// first reports whether somebody joins who does not come back.
func (a *joinArgs) first() bool { return a.SupportID == "" || a.From == log.RoleObserver }

type messageArgs struct {
	UserID    string   `json:"userId"`
	SupportID string   `json:"supportId"` // ignored: the chat's supportId is used
	Content   string   `json:"content"`
	From      log.Role `json:"from"`
	MessageID *string  `json:"messageId"`
	Files     []string `json:"files"`
}

type receiptArgs struct {
	Delivered *int64 `json:"delivered"`
	Read      *int64 `json:"read"`
}

type typingArgs struct {
	Typing *bool   `json:"typing"`
	Text   *string `json:"text"`
}

type presenceArgs struct {
	State presence `json:"state"`
}

type rateArgs struct {
	Score   int    `json:"score"`
	Comment string `json:"comment"`
}

type noteArgs struct {
	Content string `json:"content"`
}

type transferArgs struct {
	To    string  `json:"to"`
	Agent string  `json:"agent"`
	Team  string  `json:"team"`
	Note  *string `json:"note"`
}

// Each Join needs one of these two, so they are encoded by hand, like messages.

func userJoinedPayload(s *log.State) []byte {
	b := make([]byte, 0, 96+len(s.Username)+len(s.UserID)+len(s.ChatID))
	b = append(b, `{"type":"UserJoined","args":{`...)
	return appendUser(b, s)
}

func supportJoinedPayload(s *log.State) []byte {
	b := make([]byte, 0, 160+len(s.Support.ID)+len(s.Support.Name)+len(s.Username)+len(s.UserID)+len(s.ChatID))
	b = append(b, `{"type":"SupportJoinedUser","args":{"supportId":`...)
	b = wire.AppendString(b, s.Support.ID)
	b = append(b, `,"supportUserName":`...)
	b = wire.AppendString(b, s.Support.Name)
	b = append(b, ',')
	return appendUser(b, s)
}

// appendUser ends a payload with whose chat it is.
func appendUser(b []byte, s *log.State) []byte {
	b = wire.AppendString(append(b, `"username":`...), s.Username)
	b = wire.AppendString(append(b, `,"userId":`...), s.UserID)
	b = wire.AppendString(append(b, `,"chatId":`...), s.ChatID)
	return append(b, `}}`...)
}

// Reasons why a support has left.
const (
	reasonTransfer = "transfer"
	reasonLost     = "lost"
)

// supportLeftPayload encodes a SupportLeft. It leaves out the note.
func supportLeftPayload(r log.Release) []byte {
	reason := reasonTransfer
	if r.Lost {
		reason = reasonLost
	}
	return wire.Encode("SupportLeft", struct {
		SupportID       string `json:"supportId"`
		SupportUserName string `json:"supportUserName"`
		Reason          string `json:"reason"`
	}{r.Support.ID, r.Support.Name, reason})
}

func chatExpiredPayload(chatID string) []byte {
	return wire.Encode("ChatExpired", struct {
		ChatID string `json:"chatId"`
	}{chatID})
}

func receiptPayload(from log.Role, m mark) []byte {
	return wire.Encode("Receipt", struct {
		From      log.Role `json:"from"`
		Delivered int64    `json:"delivered"`
		Read      int64    `json:"read"`
	}{from, m.Delivered, m.Read})
}

func typingPayload(from log.Role, typing bool, text *string) []byte {
	return wire.Encode("Typing", struct {
		From   log.Role `json:"from"`
		Typing bool     `json:"typing"`
		Text   *string  `json:"text,omitempty"`
	}{from, typing, text})
}

func presencePayload(from log.Role, state presence) []byte {
	return wire.Encode("Presence", struct {
		From  log.Role `json:"from"`
		State presence `json:"state"`
	}{from, state})
}

func chatClosedPayload(s *log.State) []byte {
	return wire.Encode("ChatClosed", struct {
		ChatID    string   `json:"chatId"`
		From      log.Role `json:"from"`
		Timestamp string   `json:"timestamp"`
	}{s.ChatID, s.Closed.From, timestamp(s.Closed.At)})
}

func ratedPayload(r log.Rating) []byte {
	return wire.Encode("Rated", struct {
		Score     uint8  `json:"score"`
		Comment   string `json:"comment,omitempty"`
		Timestamp string `json:"timestamp"`
	}{r.Score, r.Comment, timestamp(r.At)})
}

// messageFrame makes a ChatMessage for peers that have listed f. Every message passes here,
// so it encodes by hand, into reused memory, and returns a copy.
func (s *Service) messageFrame(state *log.State, m *log.Message, f features) []byte {
	b := scratch.Get().(*[]byte)
	defer scratch.Put(b)
	*b = appendMessagePayload((*b)[:0], state, m, f)
	return s.frame(*b)
}

var scratch = sync.Pool{New: func() any { return new([]byte) }}

func appendMessagePayload(b []byte, s *log.State, m *log.Message, f features) []byte {
	b = append(b, `{"type":"ChatMessage","args":`...)
	b = appendMessage(b, s, m, f)
	return append(b, '}')
}

// historyPayload encodes a ChatHistory of all messages.
func historyPayload(s *log.State, f features) []byte {
	size := 64
	for i := range s.Messages {
		size += 224 + len(s.Messages[i].Content) + len(s.Messages[i].Content)/8
	}
	b := append(make([]byte, 0, size), `{"type":"ChatHistory","args":{"messages":[`...)
	for i := range s.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMessage(b, s, &s.Messages[i], f)
	}
	return append(b, `]}}`...)
}

// looks returns the features of f that change the form of a message.
func looks(s *log.State, m *log.Message, f features) features {
	f &= ofMessages
	if s.Files(m) == nil {
		f &^= featureFiles
	}
	if m.MessageID == "" {
		f &^= featureMessageID
	}
	return f
}

func appendMessage(b []byte, s *log.State, m *log.Message, f features) []byte {
	files := s.Files(m)
	content := m.Content
	if files != nil && !f.has(featureFiles) {
		content = log.WithLines(content, files)
	}
	f = looks(s, m, f)
	b = append(b, `{"userId":"`...)
	b = append(b, s.UserID...)
	b = append(b, `","supportId":"`...)
	b = append(b, m.SupportID...)
	b = append(b, `","content":`...)
	b = wire.AppendString(b, content)
	b = append(b, `,"timestamp":"`...)
	b = appendTimestamp(b, m.At)
	b = append(b, `","from":"`...)
	b = append(b, m.From...)
	b = append(b, '"')
	if f.has(featureMessageID) {
		b = append(b, `,"messageId":`...)
		b = wire.AppendString(b, m.MessageID)
	}
	if f.has(featureReceipts) {
		b = append(b, `,"seq":`...)
		b = strconv.AppendInt(b, m.Seq, 10)
	}
	if f.has(featureFiles) {
		b = append(b, `,"files":`...)
		b = appendFiles(b, files)
	}
	return append(b, '}')
}

// appendFiles encodes the files of a message, for sessions with the feature.
func appendFiles(b []byte, files []log.File) []byte {
	encoded, err := json.Marshal(log.Shown(files))
	if err != nil {
		panic(err) // names were checked to be valid UTF-8
	}
	return append(b, encoded...)
}

func appendTimestamp(b []byte, at int64) []byte {
	return time.UnixMicro(at).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
}

func timestamp(at int64) string { return string(appendTimestamp(nil, at)) }
