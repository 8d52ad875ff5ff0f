package lobby

import (
	"bytes"
	"strconv"
	"time"

	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// User is a waiting visitor. Its JSON has the fields for everybody; agents who ask for more
// fields get them, see audience.
type User struct {
	Username string `json:"username"`
	UserID   string `json:"userId"`
	ChatID   string `json:"chatId"`

	// Verified says that the site has confirmed the visitor's identity with a token.
	Verified bool `json:"-"`
	// Since is the beginning of the wait, in microseconds since 1970. If it is 0, the queue
	// sets it.
	Since int64 `json:"-"`
	// Team and Details come from the registration. Details is a JSON object. Both may be "".
	Team    string `json:"-"`
	Details string `json:"-"`
	// Message is the beginning of the user's latest message.
	Message string `json:"-"`
	// Messages is the number of messages in the chat at the time of this record. Of two
	// servers' records, the one with the higher number wins.
	Messages int `json:"-"`
}

// audience says which fields of users an agent has asked for.
type audience int

const (
	plain    audience = iota // the README's three fields
	verified                 // and verified
	detailed                 // and all others
	audiences
)

// Features that a Load lists to get more than the three fields (web/api/README.md,
// "Extensions").
const (
	featureVerified = "verified"
	featureDetails  = "details"
)

// extended is a User with the fields that not everybody gets. Zero values are left out.
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

// shownTo returns the user in the form for an audience.
func (u *User) shownTo(to audience) extended {
	switch to {
	case verified:
		return extended{Username: u.Username, UserID: u.UserID, ChatID: u.ChatID, Verified: u.Verified}
	case detailed:
		e := u.extended()
		if u.Since != 0 {
			e.Since = timestamp(u.Since)
		}
		return e
	}
	return extended{Username: u.Username, UserID: u.UserID, ChatID: u.ChatID}
}

// timestamp formats a time, in microseconds since 1970, as the protocol requires.
func timestamp(us int64) string {
	return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.000000Z")
}

// public returns the JSON of a user. Each Join of a user needs it, so it is made by hand.
func (u *User) public() []byte {
	b := make([]byte, 0, len(`{"username":"","userId":"","chatId":""}`)+len(u.Username)+len(u.UserID)+len(u.ChatID))
	return append(u.appendPublic(b), '}')
}

// appendPublic leaves out the last brace.
func (u *User) appendPublic(b []byte) []byte {
	b = wire.AppendString(append(b, `{"username":`...), u.Username)
	b = wire.AppendString(append(b, `,"userId":`...), u.UserID)
	return wire.AppendString(append(b, `,"chatId":`...), u.ChatID)
}

// record returns what the queue keeps of a user: everything except Since, which the queue
// adds itself.
func (u *User) record() ([]byte, error) {
	if u.Details != "" {
		return json.Marshal(u.extended())
	}
	b := make([]byte, 0, 96+len(u.Username)+len(u.UserID)+len(u.ChatID)+len(u.Team)+len(u.Message))
	b = u.appendPublic(b)
	if u.Team != "" {
		b = wire.AppendString(append(b, `,"team":`...), u.Team)
	}
	if u.Message != "" {
		b = wire.AppendString(append(b, `,"message":`...), u.Message)
	}
	if u.Verified {
		b = append(b, `,"verified":true`...)
	}
	return append(b, '}'), nil
}

// parseRecord parses the queue's entry of a user: since, number and record. From a server
// without records, the entry is only the user's JSON.
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
