package chat

import (
	"sync"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json/jsontext"
)

// The messages of port 9000 (PROTOCOL.md, "Chat server"). Types of requests
// carry what is used of them; other fields are ignored.

const (
	kindJoin        = "Join"
	kindChatMessage = "ChatMessage"
)

// featureMessageID asks for the echo of messageId.
const featureMessageID = "messageId"

type joinArgs struct {
	UserID          string         `json:"userId"`
	Username        string         `json:"username"` // the registered one counts
	SupportID       string         `json:"supportId"`
	SupportUserName string         `json:"supportUserName"`
	From            log.Role       `json:"from"`
	Features        []string       `json:"features"`
	Heartbeat       wire.Heartbeat `json:"heartbeat"`
}

type messageArgs struct {
	UserID    string   `json:"userId"`
	SupportID string   `json:"supportId"` // the chat's own counts
	Content   string   `json:"content"`
	From      log.Role `json:"from"`
	MessageID *string  `json:"messageId"`
}

func userJoinedPayload(s *log.State) []byte {
	return wire.Encode("UserJoined", struct {
		Username string `json:"username"`
		UserID   string `json:"userId"`
		ChatID   string `json:"chatId"`
	}{s.Username, s.UserID, s.ChatID})
}

func supportJoinedPayload(s *log.State) []byte {
	return wire.Encode("SupportJoinedUser", struct {
		SupportID       string `json:"supportId"`
		SupportUserName string `json:"supportUserName"`
		Username        string `json:"username"`
		UserID          string `json:"userId"`
		ChatID          string `json:"chatId"`
	}{s.Support.ID, s.Support.Name, s.Username, s.UserID, s.ChatID})
}

func chatExpiredPayload(chatID string) []byte {
	return wire.Encode("ChatExpired", struct {
		ChatID string `json:"chatId"`
	}{chatID})
}

// messageFrame makes a ChatMessage for peers. It is on the way of every message, so
// it encodes by hand, into memory that is used again: the frame is a copy.
func (s *Service) messageFrame(userID string, m *log.Message, withID bool) []byte {
	b := scratch.Get().(*[]byte)
	defer scratch.Put(b)
	*b = appendMessagePayload((*b)[:0], userID, m, withID)
	return s.frame(*b)
}

var scratch = sync.Pool{New: func() any { return new([]byte) }}

func appendMessagePayload(b []byte, userID string, m *log.Message, withID bool) []byte {
	b = append(b, `{"type":"ChatMessage","args":`...)
	b = appendMessage(b, userID, m, withID)
	return append(b, '}')
}

// historyPayload encodes a ChatHistory of all messages.
func historyPayload(s *log.State, withIDs bool) []byte {
	size := 64
	for i := range s.Messages {
		size += 224 + len(s.Messages[i].Content) + len(s.Messages[i].Content)/8
	}
	b := append(make([]byte, 0, size), `{"type":"ChatHistory","args":{"messages":[`...)
	for i := range s.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMessage(b, s.UserID, &s.Messages[i], withIDs)
	}
	return append(b, `]}}`...)
}

func appendMessage(b []byte, userID string, m *log.Message, withID bool) []byte {
	b = append(b, `{"userId":"`...)
	b = append(b, userID...)
	b = append(b, `","supportId":"`...)
	b = append(b, m.SupportID...)
	b = append(b, `","content":`...)
	b = appendString(b, m.Content)
	b = append(b, `,"timestamp":"`...)
	b = time.UnixMicro(m.At).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `","from":"`...)
	b = append(b, m.From...)
	b = append(b, '"')
	if withID && m.MessageID != "" {
		b = append(b, `,"messageId":`...)
		b = appendString(b, m.MessageID)
	}
	return append(b, '}')
}

func appendString(b []byte, s string) []byte {
	b, err := jsontext.AppendQuote(b, s)
	if err != nil {
		panic(err) // checked to be valid UTF-8 when it was decoded
	}
	return b
}
