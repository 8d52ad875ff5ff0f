package client

import (
	"context"
	"time"
)

// States of a Chat and of a Lobby. Closed is a state, too.
const (
	Connecting = "connecting"
	Waiting    = "waiting"
	Connected  = "connected"
	Ready      = "ready"
	Offline    = "offline"
	Ended      = "ended"
)

// Participant has everything needed to come back to a chat. It is plain JSON. Without tokens, a
// Support needs a SupportUserName and an Observer an ObserverName. The server sets the SupportID.
type Participant struct {
	Role            string `json:"role,omitempty"` // User, Support or Observer
	UserID          string `json:"userId"`
	ChatID          string `json:"chatId"`
	Username        string `json:"username"`
	SupportID       string `json:"supportId,omitempty"`
	SupportUserName string `json:"supportUserName,omitempty"`
	ObserverName    string `json:"observerName,omitempty"`
}

// As returns another participant of the same chat: a Support or an Observer with the given name.
// If agents need tokens, the token has the name, and name can be "".
func (p Participant) As(role, name string) Participant {
	as := Participant{Role: role, UserID: p.UserID, ChatID: p.ChatID, Username: p.Username}
	if role == Observer {
		as.ObserverName = name
	} else {
		as.SupportUserName = name
	}
	return as
}

// Target is the target of a transfer, see ToQueue, ToAgent and ToTeam.
type Target struct {
	To    string `json:"to"`
	Agent string `json:"agent,omitempty"`
	Team  string `json:"team,omitempty"`
}

// ToQueue transfers a chat to the queue, for any agent.
func ToQueue() Target { return Target{To: "queue"} }

// ToAgent transfers a chat to one agent, by Colleague.Agent.
func ToAgent(agent string) Target { return Target{To: "agent", Agent: agent} }

// ToTeam transfers a chat to a team.
func ToTeam(team string) Target { return Target{To: "team", Team: team} }

// Chat is one participant's end of a chat.
type Chat struct {
	*connection
	base        string
	participant Participant
	side, other string

	state    State
	joined   bool // on this connection
	extended bool // the server supports extensions
	away     bool
	toldAway bool
	known    int // number of messages that were told
	last     Message
	notes    []Note
	noteAt   int    // number of notes that the server has sent since the last Join
	presence string // of the other side

	delivery delivery
	requests requests
	receipts receipts
	typing   typing
}

// OpenChat joins a chat as the given participant. It returns at once; Events reports the outcome.
func OpenChat(ctx context.Context, base string, participant Participant, options Options) *Chat {
	pong := "pong:support"
	c := &Chat{base: base, participant: participant, side: Support, other: User, state: State{State: Connecting}}
	if participant.Role == User {
		pong, c.side, c.other = "pong:user", User, Support
	}
	c.connection = newConnection(address(base, "/chat/"+participant.ChatID), pong, options)
	c.delivery = delivery{connection: c.connection, say: c.say}
	c.requests = requests{connection: c.connection}
	c.receipts = receipts{connection: c.connection, role: c.side, signal: c.signal, marks: map[string]*marks{User: {}, Support: {}}}
	if participant.Role == Observer {
		c.receipts.role = ""
	}
	c.typing = typing{connection: c.connection, other: c.other, signal: c.signal}
	c.start(ctx, c)
	return c
}

// Events returns the channel of events. The caller must read it: while 1,000 events wait, the Chat
// reads nothing from the server, and Send and other calls that wait for an answer fail with
// ErrBehind.
func (c *Chat) Events() <-chan Event { return c.events }

// Close leaves the chat without ending it, and waits until all goroutines have ended. It can be
// called more than once.
func (c *Chat) Close() { c.close() }

// Err returns why Events was closed: nil after Close or the end of the context or the chat, or else
// a Refusal.
func (c *Chat) Err() error {
	<-c.done
	return c.failure
}

// Participant returns the current participant. Keep it to come back later.
func (c *Chat) Participant() (now Participant) {
	if c.do(context.Background(), func() { now = c.participant }) != nil {
		return c.participant // it no longer changes
	}
	return now
}

// Send sends a message and returns it with its place in the chat. While offline, it waits for the
// connection. The content has 1 to 8,000 characters, or none if there are files; up to 5 files come
// from Upload. Concurrent calls send their messages one after the other. If the context ends first,
// a message that is in flight may still arrive.
func (c *Chat) Send(ctx context.Context, content string, files ...File) (Message, error) {
	o := outgoing{id: newID(), content: content, done: make(chan sent, 1)}
	for _, file := range files {
		o.files = append(o.files, file.FileID)
	}
	var failure error
	if err := c.do(ctx, func() {
		c.typing.stop()
		if failure = c.refusing("chat_closed"); failure == nil {
			failure = c.delivery.add(o)
		}
	}); err != nil {
		return Message{}, err
	}
	if failure != nil {
		return Message{}, failure
	}
	select {
	case result := <-o.done:
		return result.message, result.err
	case <-ctx.Done():
		_ = c.do(context.WithoutCancel(ctx), func() { c.delivery.forget(o.id) })
		return Message{}, ctx.Err()
	}
}

// End ends the chat for both sides, once there is a connection. If the server cannot end chats, or
// does not allow this participant to, End only leaves the chat.
func (c *Chat) End(ctx context.Context) error {
	err := c.ask(ctx, &request{kind: "CloseChat"})
	switch CodeOf(err) {
	case "":
		return err
	case Expired, "chat_closed":
		return nil
	}
	c.Close()
	return nil
}

// Rate rates the chat from 1 to 5. It also works after the end of the chat. The last rating counts.
func (c *Chat) Rate(ctx context.Context, score int, comment string) error {
	return c.ask(ctx, &request{kind: "Rate", args: Rating{Score: score, Comment: comment}.asked(), fits: func(e Event) bool {
		rating, ok := e.(Rating)
		return ok && rating.Score == score && rating.Comment == comment
	}})
}

func (r Rating) asked() any {
	return struct {
		Score   int    `json:"score"`
		Comment string `json:"comment,omitempty"`
	}{r.Score, r.Comment}
}

// Transfer transfers the chat, with a note for the next agent, which can be "". After that this
// agent no longer has the chat: the State is Closed, with the Problem Released. After a Refusal the
// chat is unchanged.
func (c *Chat) Transfer(ctx context.Context, to Target, note string) error {
	return c.ask(ctx, &request{kind: "Transfer", args: struct {
		Target
		Note string `json:"note,omitempty"`
	}{to, note}})
}

// Note writes a note of 1 to 8,000 characters for the team, and returns when the server has stored
// it.
func (c *Chat) Note(ctx context.Context, content string) error {
	return c.ask(ctx, &request{kind: "Note", counts: true, args: struct {
		Content string `json:"content"`
	}{content}, fits: func(e Event) bool {
		note, ok := e.(Note)
		return ok && note.Content == content
	}})
}

// Read reports that the messages up to this number were seen. The Chat itself reports their
// delivery.
func (c *Chat) Read(ctx context.Context, upTo int) error {
	return c.do(ctx, func() { c.receipts.read(upTo) })
}

// Type reports that this side is typing, or has stopped. Call it on each key or every few seconds. A
// message ends the typing, too. Without a connection the report is dropped.
func (c *Chat) Type(ctx context.Context, typing bool) error {
	return c.do(ctx, func() {
		if typing {
			c.typing.key()
		} else {
			c.typing.stop()
		}
	})
}

// SetAway reports whether somebody is there to read. The Chat repeats the report after a lost
// connection.
func (c *Chat) SetAway(ctx context.Context, away bool) error {
	return c.do(ctx, func() {
		c.away = away
		c.announce()
	})
}

// ask sends a request and waits for the answer.
func (c *Chat) ask(ctx context.Context, q *request) error {
	q.done = make(chan error, 1)
	var failure error
	if err := c.do(ctx, func() {
		if failure = c.refusing(""); failure != nil {
			return
		}
		if q.kind == "CloseChat" && c.state.Ending != nil {
			q.done <- nil // the server would not answer
			return
		}
		failure = c.requests.ask(q)
	}); err != nil {
		return err
	}
	if failure != nil {
		return failure
	}
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		_ = c.do(context.WithoutCancel(ctx), func() { c.requests.forget(q) })
		return ctx.Err()
	}
}

// refusing returns why the chat accepts nothing any longer, or nil. ended is the code for a chat
// that was ended, "" if it does not matter.
func (c *Chat) refusing(ended string) error {
	switch {
	case c.over && c.state.State == Ended:
		return &Refusal{Code: Expired}
	case c.over:
		return c.reason()
	case ended != "" && c.state.Ending != nil:
		return &Refusal{Code: ended}
	}
	return nil
}

func (c *Chat) say(o outgoing) {
	c.send("ChatMessage", struct {
		UserID    string   `json:"userId"`
		SupportID string   `json:"supportId"`
		From      string   `json:"from"`
		Content   string   `json:"content"`
		MessageID string   `json:"messageId"`
		Files     []string `json:"files,omitempty"`
	}{c.participant.UserID, c.participant.SupportID, c.participant.Role, o.content, o.id, o.files})
}

// signal sends a frame without an answer, if the server supports it, and reports whether it has.
func (c *Chat) signal(kind string, args any) bool {
	if !c.joined || !c.extended || c.participant.Role == Observer {
		return false
	}
	if (kind == "Typing" && c.state.State != Connected) || (kind == "Presence" && c.state.Ending != nil) {
		return false
	}
	c.send(kind, args)
	return true
}

func (c *Chat) announce() {
	if c.away == c.toldAway {
		return
	}
	state := map[bool]string{true: "away", false: "online"}[c.away]
	if c.signal("Presence", map[string]string{"state": state}) {
		c.toldAway = c.away
	}
}

// crowded is the pause before another try to join a chat with the maximum number of sockets.
const crowded = 10 * time.Second
