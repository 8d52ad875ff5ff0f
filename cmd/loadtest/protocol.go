package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
)

// The protocol, as a client sees it. Nothing here is the servers' own code: what
// they get wrong must not be wrong here in the same way.

// message is any message of a server, with the fields that a test looks at.
type message struct {
	Type   string `json:"type"`
	UserID string `json:"userId"` // of a pending user, whose message has no type
	Args   struct {
		UserID    string `json:"userId"`
		ChatID    string `json:"chatId"`
		SupportID string `json:"supportId"`
		From      string `json:"from"`
		Content   string `json:"content"`
		Timestamp string `json:"timestamp"`
		Code      string `json:"code"`
		Message   string `json:"message"`
		Typing    bool   `json:"typing"`

		Messages []struct {
			From    string `json:"from"`
			Content string `json:"content"`
		} `json:"messages"`
		Users []waiting `json:"users"`
	} `json:"args"`
}

// waiting is a user as the lobby shows them.
type waiting struct {
	UserID string `json:"userId"`
}

func decode(text []byte) (message, error) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("a message that is no JSON of the protocol: %.100q: %w", text, err)
	}
	return m, nil
}

func encode(kind string, args map[string]any) []byte {
	m := map[string]any{"type": kind}
	if args != nil {
		m["args"] = args
	}
	b, err := json.Marshal(m, json.Deterministic(true))
	if err != nil {
		panic(err) // strings of our own
	}
	return b
}

// identity is what a registration gives.
type identity struct {
	UserID   string `json:"userId"`
	Username string `json:"username"`
	ChatID   string `json:"chatId"`
}

// register makes a user on the chat server at base.
func (l *load) register(ctx context.Context, base, name string) (identity, error) {
	fail := func(err error) (identity, error) {
		return identity{}, fmt.Errorf("registering at %s: %w", base, err)
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/user/join/"+name, nil)
	if err != nil {
		return fail(err)
	}
	response, err := l.http.Do(request)
	if err != nil {
		return fail(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return fail(err)
	}
	var id identity
	if err := json.Unmarshal(body, &id); err != nil || response.StatusCode != http.StatusOK || id.ChatID == "" || id.UserID == "" {
		return fail(fmt.Errorf("%s: %.200s", response.Status, body))
	}
	return id, nil
}

func userJoin(id identity, features ...string) []byte {
	return join(map[string]any{"userId": id.UserID, "username": id.Username, "from": "User"}, features)
}

func join(args map[string]any, features []string) []byte {
	if len(features) > 0 {
		args["features"] = features
	}
	return encode("Join", args)
}

// supportJoin leaves the name to the token, if there is one.
func (l *load) supportJoin(id identity, features ...string) []byte {
	args := map[string]any{"userId": id.UserID, "username": id.Username, "from": "Support"}
	if l.options.AgentToken == "" {
		args["supportUserName"] = "loadtest"
	}
	return join(args, features)
}

func claim(id identity) []byte {
	return encode("JoinUser", map[string]any{"userId": id.UserID, "chatId": id.ChatID, "username": id.Username})
}

// roles are the sides of a chat, as the protocol writes them.
var roles = [2]string{"User", "Support"}

// A message's content is its number, who sent it and when it was due, then what
// fills it up: "#chat.number.microseconds xxx".

// minContent is the size that holds any of these.
const minContent = 48

func content(chat int, number uint32, due int64, size int) []byte {
	b := make([]byte, 0, size)
	b = append(b, '#')
	b = strconv.AppendInt(b, int64(chat), 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, uint64(number), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, due, 10)
	b = append(b, ' ')
	for len(b) < size {
		b = append(b, 'x')
	}
	return b
}

// parseContent undoes content; ok is false for what it did not make.
func parseContent(s string, size int) (chat int, number uint32, due int64, ok bool) {
	if len(s) != size || size == 0 || s[0] != '#' {
		return 0, 0, 0, false
	}
	var fields [3]int64
	field, digits := 0, 0
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9' && digits < 18:
			fields[field] = fields[field]*10 + int64(c-'0')
			digits++
		case c == '.' && digits > 0 && field < 2:
			field++
			digits = 0
		case c == ' ' && digits > 0 && field == 2:
			return int(fields[0]), uint32(fields[1]), fields[2], true
		default:
			return 0, 0, 0, false
		}
	}
	return 0, 0, 0, false
}

// chatMessage is the request that carries a content.
func chatMessage(id identity, supportID, from string, content []byte) []byte {
	b := make([]byte, 0, 192+len(content))
	b = append(b, `{"type":"ChatMessage","args":{"userId":"`...)
	b = append(b, id.UserID...)
	b = append(b, `","supportId":"`...)
	b = append(b, supportID...)
	b = append(b, `","content":"`...)
	b = append(b, content...)
	b = append(b, `","from":"`...)
	b = append(b, from...)
	return append(b, `"}}`...)
}
