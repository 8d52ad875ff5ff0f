package chat

import (
	"strconv"
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
	kindReceipt     = "Receipt"
	kindTyping      = "Typing"
	kindPresence    = "Presence"
	kindCloseChat   = "CloseChat"
	kindRate        = "Rate"
	kindNote        = "Note"
)

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

// messageFrame makes a ChatMessage for peers that have listed f. It is on the way of
// every message, so it encodes by hand, into memory that is used again: the frame is
// a copy.
func (s *Service) messageFrame(userID string, m *log.Message, f features) []byte {
	b := scratch.Get().(*[]byte)
	defer scratch.Put(b)
	*b = appendMessagePayload((*b)[:0], userID, m, f)
	return s.frame(*b)
}

var scratch = sync.Pool{New: func() any { return new([]byte) }}

func appendMessagePayload(b []byte, userID string, m *log.Message, f features) []byte {
	b = append(b, `{"type":"ChatMessage","args":`...)
	b = appendMessage(b, userID, m, f)
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
		b = appendMessage(b, s.UserID, &s.Messages[i], f)
	}
	return append(b, `]}}`...)
}

// looks is what makes a message look different to a session that has listed f.
func looks(m *log.Message, f features) features {
	f &= ofMessages
	if m.MessageID == "" {
		f &^= featureMessageID
	}
	return f
}

func appendMessage(b []byte, userID string, m *log.Message, f features) []byte {
	f = looks(m, f)
	b = append(b, `{"userId":"`...)
	b = append(b, userID...)
	b = append(b, `","supportId":"`...)
	b = append(b, m.SupportID...)
	b = append(b, `","content":`...)
	b = appendString(b, m.Content)
	b = append(b, `,"timestamp":"`...)
	b = appendTimestamp(b, m.At)
	b = append(b, `","from":"`...)
	b = append(b, m.From...)
	b = append(b, '"')
	if f.has(featureMessageID) {
		b = append(b, `,"messageId":`...)
		b = appendString(b, m.MessageID)
	}
	if f.has(featureReceipts) {
		b = append(b, `,"seq":`...)
		b = strconv.AppendInt(b, m.Seq, 10)
	}
	return append(b, '}')
}

func appendTimestamp(b []byte, at int64) []byte {
	return time.UnixMicro(at).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
}

func timestamp(at int64) string { return string(appendTimestamp(nil, at)) }

func appendString(b []byte, s string) []byte {
	b, err := jsontext.AppendQuote(b, s)
	if err != nil {
		panic(err) // checked to be valid UTF-8 when it was decoded
	}
	return b
}
