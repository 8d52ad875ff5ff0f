package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer is larger than any response that is read here.
const maxAnswer = 1 << 20

// Registration is what a site tells about a visitor in addition to the name.
type Registration struct {
	Token   string   `json:"-"` // the visitor's token, if their site has given them one
	Team    string   `json:"team,omitempty"`
	Details *Details `json:"details,omitempty"`
	Consent bool     `json:"consent,omitempty"`
}

// Register registers a visitor with a new chat. The name has 1 to 64 characters. With a token, it can
// be "".
func Register(ctx context.Context, base, name string, more Registration, options Options) (Participant, error) {
	p := Participant{Role: User}
	err := call(ctx, options, http.MethodPost, address(base, "/user/join/"+url.PathEscape(name)), more.Token, more, &p)
	return p, err
}

// Availability says whether agents are available.
type Availability struct {
	Open     bool       `json:"open"`
	Opens    *time.Time `json:"opens"`
	Agents   int        `json:"agents"`
	Waiting  int        `json:"waiting"`
	Estimate *int       `json:"estimate"` // in seconds
	Messages bool       `json:"messages"` // whether Leave works
	Files    *struct {
		Size  int64    `json:"size"`
		Types []string `json:"types"`
	} `json:"files"` // nil if the server takes no files
}

// Available asks the server whether agents are available.
func Available(ctx context.Context, base string, options Options) (Availability, error) {
	var a Availability
	err := call(ctx, options, http.MethodGet, address(base, "/status"), "", nil, &a)
	return a, err
}

// LeftMessage is a message for agents to read later. One of Name and Email can be "".
type LeftMessage struct {
	Name    string   `json:"name"`
	Email   string   `json:"email"`
	Content string   `json:"content"`
	Team    string   `json:"team,omitempty"`
	Details *Details `json:"details,omitempty"`
}

// Leave leaves a message while no agent is available, and returns its id once it is archived.
func Leave(ctx context.Context, base string, message LeftMessage, options Options) (messageID string, err error) {
	var left struct{ MessageID string }
	err = call(ctx, options, http.MethodPost, address(base, "/messages"), "", message, &left)
	return left.MessageID, err
}

// Upload uploads a file to the chat. The server deletes it after 10 minutes unless a message has it.
// Upload does not retry.
func (c *Chat) Upload(ctx context.Context, name, contentType string, content io.Reader) (File, error) {
	var file File
	p := c.Participant()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address(c.base, "/chat/"+p.ChatID+"/files"), content)
	if err != nil {
		return file, err
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Livesupport-User", p.UserID)
	r.Header.Set("Livesupport-Filename", url.PathEscape(name))
	if p.Role == Support {
		r.Header.Set("Livesupport-Support", p.SupportID)
	}
	if token := c.options.token(); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return file, answered(c.options, r, &file)
}

// AddressOf returns the URL of a file, or "" if that is not an HTTP URL.
func (c *Chat) AddressOf(file File) string {
	full := file.URL
	if strings.HasPrefix(full, "/") {
		full = address(c.base, full)
	}
	if !strings.HasPrefix(full, "http://") && !strings.HasPrefix(full, "https://") {
		return ""
	}
	return full
}

func call(ctx context.Context, options Options, method, url, token string, body, into any) error {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return answered(options, r, into)
}

// answered makes a request and decodes the response, or returns the server's Refusal.
func answered(options Options, r *http.Request, into any) error {
	response, err := options.http().Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode/100 == 2 {
		return json.Unmarshal(text, into)
	}
	var refused struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(text, &refused) != nil || refused.Error.Code == "" { // a proxy's page, perhaps
		refused.Error.Code = "unavailable"
	}
	return &Refusal{refused.Error.Code, refused.Error.Message}
}
