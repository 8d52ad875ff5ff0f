package lobby

import (
	"bytes"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// User is a visitor who waits. As JSON it is what everybody may know; agents who
// ask for more get more (audience).
type User struct {
	Username string `json:"username"`
	UserID   string `json:"userId"`
	ChatID   string `json:"chatId"`

	// Verified: a token of the visitor's site has said so.
	Verified bool `json:"-"`
	// Since is when the wait began, in microseconds since 1970; 0 if unknown. The
	// queue sets it.
	Since int64 `json:"-"`
	// Team and Details are as registered; Details is a JSON object. "" is none.
	Team    string `json:"-"`
	Details string `json:"-"`
	// Message is the beginning of the user's latest message.
	Message string `json:"-"`
	// Messages is how many messages the chat had when all this was so: of what two
	// servers say, that with the higher number counts.
	Messages int `json:"-"`
}

// audience is what an agent has asked to know of users.
type audience int

const (
	plain    audience = iota // the README's three fields
	verified                 // and who is verified
	detailed                 // and everything else
	audiences
)

// Features that a Load lists to get more than the three fields (PROTOCOL.md,
// "Extensions").
const (
	featureVerified = "verified"
	featureDetails  = "details"
)

// extended is a User with what not everybody gets; the zero values are left out.
type extended struct {
	Username string         `json:"username"`
	UserID   string         `json:"userId"`
	ChatID   string         `json:"chatId"`
	Since    string         `json:"since,omitzero"`
	Team     string         `json:"team,omitzero"`
	Details  jsontext.Value `json:"details,omitzero"`
	Message  string         `json:"message,omitzero"`
	Verified bool           `json:"verified,omitzero"`
}

func (u *User) extended() extended {
	e := extended{
		Username: u.Username, UserID: u.UserID, ChatID: u.ChatID,
		Team: u.Team, Message: u.Message, Verified: u.Verified,
	}
	if u.Details != "" {
		e.Details = jsontext.Value(u.Details)
	}
	return e
}

// shownTo is the user as an audience gets them.
func (u *User) shownTo(to audience) any {
	switch to {
	case verified:
		return extended{Username: u.Username, UserID: u.UserID, ChatID: u.ChatID, Verified: u.Verified}
	case detailed:
		e := u.extended()
		if u.Since != 0 {
			e.Since = time.UnixMicro(u.Since).UTC().Format("2006-01-02T15:04:05.000000Z")
		}
		return e
	}
	return u
}

// record is what the queue keeps of a user: all that is known but Since, which the
// queue itself adds.
func (u *User) record() ([]byte, error) { return json.Marshal(u.extended()) }

// parseRecord takes what the queue has of a user: since, number and record. Of
// users of a server that knows no records it has their JSON alone.
func parseRecord(b []byte) (u User, ok bool) {
	if since, rest, found := bytes.Cut(b, []byte(" ")); found && len(b) > 0 && b[0] != '{' {
		number, record, _ := bytes.Cut(rest, []byte(" "))
		var errs [2]error
		u.Since, errs[0] = strconv.ParseInt(string(since), 10, 64)
		u.Messages, errs[1] = strconv.Atoi(string(number))
		if errs != [2]error{} {
			return User{}, false
		}
		b = record
	}
	var e extended
	if json.Unmarshal(b, &e) != nil || e.UserID == "" {
		return User{}, false
	}
	u.Username, u.UserID, u.ChatID = e.Username, e.UserID, e.ChatID
	u.Team, u.Details, u.Message, u.Verified = e.Team, string(e.Details), e.Message, e.Verified
	return u, true
}
