package client

import (
	"encoding/json"
	"slices"
)

var commonFeatures = []string{"messageId", "receipts", "typing", "presence", "close", "rating", "transfer", "files"}

// features returns the features for a Join. Servers ignore unknown ones.
func features(role string) []string {
	switch role {
	case User:
		return append(slices.Clone(commonFeatures), "queue")
	case Support:
		return append(slices.Clone(commonFeatures), "preview", "notes")
	default:
		return append(slices.Clone(commonFeatures), "notes")
	}
}

func (c *Chat) opened() {
	p := c.participant
	join := struct {
		UserID          string   `json:"userId"`
		Username        string   `json:"username"`
		SupportID       string   `json:"supportId,omitempty"`
		SupportUserName string   `json:"supportUserName,omitempty"`
		From            string   `json:"from"`
		Features        []string `json:"features"`
		Heartbeat       int      `json:"heartbeat"`
	}{UserID: p.UserID, Username: p.Username, From: p.Role, Features: features(p.Role), Heartbeat: int(heartbeat.Seconds())}
	switch p.Role {
	case Support:
		join.SupportID, join.SupportUserName = p.SupportID, p.SupportUserName
	case User:
		join.SupportID = p.SupportID
	case Observer:
		join.SupportUserName = p.ObserverName
	}
	if c.shown != "" {
		join.SupportUserName = "" // the token has the name
	}
	c.send("Join", join)
}

func (c *Chat) receive(kind string, args json.RawMessage) {
	switch kind {
	case "UserJoined": // waiting, unless SupportJoinedUser follows
		if c.joined {
			return
		}
		if c.participant.SupportID != "" {
			c.left(Leaving{SupportID: c.participant.SupportID, SupportUserName: c.participant.SupportUserName})
		}
		c.enter(Waiting)
	case "SupportJoinedUser":
		var e Joined
		if decode(args, &e) {
			news := e.SupportID != c.participant.SupportID || c.state.State != Connected
			c.participant.SupportID, c.participant.SupportUserName = e.SupportID, e.SupportUserName
			if news {
				c.tell(e)
			}
			c.enter(Connected)
		}
	case "ChatHistory":
		var e struct{ Messages []Message }
		if decode(args, &e) {
			c.replace(e.Messages)
		}
	case "ChatMessage":
		var e Message
		if decode(args, &e) {
			c.add(e)
		}
	case "ChatExpired":
		c.ending(Ending{}, Expired)
		c.finish(State{State: Ended, Ending: c.state.Ending}, &Refusal{Code: Expired})
	case "Error":
		var e struct{ Code, Message, MessageID string }
		if decode(args, &e) {
			c.failed(&Refusal{e.Code, e.Message}, e.MessageID)
		}
	default:
		c.extension(kind, args)
	}
}

// extension handles messages of the protocol's extensions.
func (c *Chat) extension(kind string, args json.RawMessage) {
	switch kind {
	case "SupportLeft":
		var e Leaving
		if !decode(args, &e) {
			return
		}
		c.extend()
		c.left(e)
		c.requests.answered("Transfer", e)
		if c.participant.Role == Support {
			c.finish(State{State: Closed, Problem: Released}, &Refusal{Code: Released})
		} else if c.joined {
			c.move(State{State: Waiting})
		}
	case "Receipt":
		var e Receipt
		if decode(args, &e) {
			c.extend()
			c.receipts.take(e)
		}
	case "Typing":
		var e Typing
		if decode(args, &e) {
			c.extend()
			c.typing.take(e)
		}
	case "Presence":
		var e Presence
		if decode(args, &e) {
			c.extend()
			if e.From == c.other {
				c.show(e.State)
			}
		}
	case "Queue":
		var e Place
		if decode(args, &e) {
			c.extend()
			c.tell(e)
		}
	case "Note":
		var e Note
		if decode(args, &e) {
			c.extend()
			c.note(e)
		}
	case "Rated":
		var e Rating
		if decode(args, &e) {
			c.extend()
			c.tell(e)
			c.requests.answered("Rate", e)
		}
	case "ChatClosed":
		var e Ending
		if decode(args, &e) {
			c.extend()
			c.ending(e, "chat_closed")
		}
	}
}

func decode(args json.RawMessage, into any) bool { return json.Unmarshal(args, into) == nil }

func (c *Chat) extend() {
	if c.extended {
		return
	}
	c.extended = true
	c.promise()
	c.announce()
}

// enter handles the answer to the Join.
func (c *Chat) enter(state string) {
	fresh := !c.joined
	c.joined = true
	c.accept()
	c.move(State{State: state})
	if !fresh {
		return
	}
	c.toldAway = false // a new socket counts as online
	c.announce()
	c.receipts.join()
	c.requests.join()
	c.delivery.join()
}

// replace takes over a history. A chat only grows, so after a lost connection its history begins with
// the known messages.
func (c *Chat) replace(messages []Message) {
	for i := range messages {
		if messages[i].Seq > 0 {
			c.extend()
		}
		messages[i].Seq = i + 1
	}
	known := c.known
	if known == 0 || len(messages) < known || !messages[known-1].same(c.last) {
		c.known = 0
		c.tell(History{slices.Clone(messages)})
		for _, m := range messages {
			c.count(m)
		}
	} else {
		for _, m := range messages[known:] {
			c.add(m)
		}
	}
	if !c.joined {
		state := Waiting
		if c.participant.SupportID != "" {
			state = Connected
		}
		c.enter(state)
	}
	c.noteAt = 0 // the server sends all of them again
}

func (m Message) same(other Message) bool {
	return m.Timestamp.Equal(other.Timestamp) && m.Content == other.Content
}

func (c *Chat) add(m Message) {
	if m.Seq > 0 {
		c.extend()
	} else {
		m.Seq = c.known + 1
	}
	if m.Seq > c.known {
		c.tell(m)
		c.count(m)
		return
	}
	c.arrived(m) // the receipt of a repeated message
}

func (c *Chat) count(m Message) {
	c.known, c.last = m.Seq, m
	c.typing.wrote(m.From)
	c.receipts.came(m)
	c.arrived(m)
}

func (c *Chat) arrived(m Message) {
	if m.From == c.participant.Role && m.MessageID != "" {
		c.delivery.arrived(m)
	}
}

func (c *Chat) note(note Note) {
	at := c.noteAt
	c.noteAt++
	if at < len(c.notes) && c.notes[at].Timestamp.Equal(note.Timestamp) && c.notes[at].Content == note.Content {
		return
	}
	c.notes = append(c.notes, note)
	c.noteAt = len(c.notes)
	c.tell(note)
	c.requests.answered("Note", note)
}

// left handles an agent's leaving.
func (c *Chat) left(e Leaving) {
	c.participant.SupportID, c.participant.SupportUserName = "", ""
	c.typing.left()
	c.show("")
	c.tell(e)
}

func (c *Chat) show(presence string) {
	if presence != c.presence {
		c.presence = presence
		c.tell(Presence{c.other, presence})
	}
}

// ending handles the end of the chat, after which nobody can write.
func (c *Chat) ending(ending Ending, problem string) {
	if c.state.Ending == nil {
		c.state.Ending = &ending
	}
	c.typing.left()
	c.move(State{State: Ended})
	c.delivery.giveUp(&Refusal{Code: problem})
	c.requests.answered("CloseChat", nil)
}

func (c *Chat) failed(err *Refusal, messageID string) {
	switch {
	case err.Code == "unauthorized":
		c.state.Problem = err.Code // a close frame follows
	case !c.joined:
		c.joinFailed(err)
	case messageID != "" || !(c.requests.refuse(err) || c.extended):
		c.delivery.refused(messageID, err)
	case err.Code == "unknown_type": // a signal to a server that does not support it
		c.extended = false
	}
}

func (c *Chat) joinFailed(err *Refusal) {
	switch err.Code {
	case "unavailable":
		c.restart(0)
	case "chat_full": // too many sockets
		c.restart(crowded)
	default:
		c.finish(State{State: Closed, Problem: err.Code}, err)
	}
}

// lost handles the loss of a connection that comes back.
func (c *Chat) lost() {
	c.parted()
	c.move(State{State: Offline})
}

func (c *Chat) parted() {
	c.joined, c.extended = false, false
	c.delivery.left()
	c.requests.left()
	c.typing.left()
	c.show("")
}

func (c *Chat) refused(code string) {
	if code == "" { // after Close
		c.finish(State{State: Closed}, nil)
		return
	}
	if c.state.Problem != "" {
		code = c.state.Problem
	}
	c.finish(State{State: Closed, Problem: code}, &Refusal{Code: code})
}

// finish handles the final end of the connection. failure is the error for calls that still wait.
func (c *Chat) finish(state State, failure error) {
	if c.over && c.state.State == state.State {
		return
	}
	c.stop()
	c.parted()
	if state.State == Closed {
		c.failure = failure
		c.state.Ending = nil
	}
	c.move(state)
	if failure == nil {
		failure = &Refusal{Code: Closed}
	}
	c.delivery.giveUp(failure)
	c.requests.giveUp(failure)
}

func (c *Chat) behind() {
	c.delivery.giveUp(ErrBehind)
	c.requests.giveUp(ErrBehind)
	if c.joined {
		c.delivery.joined, c.requests.joined = true, true
	}
}

func (c *Chat) leaving() { c.receipts.flush() }

// move reports a new state. An ended chat stays ended, whatever happens to the connection.
func (c *Chat) move(state State) {
	state.Ending = c.state.Ending
	if state.Ending != nil {
		state.State, state.Problem = Ended, ""
	}
	if state != c.state {
		c.state = state
		c.tell(state)
	}
}
