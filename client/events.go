package client

import "time"

// Event is an event of Events: one of the types in this file, by value.
type Event interface{ event() }

// Events of a Chat.
type (
	// State is the state of a Chat.
	//
	//   - Connecting: there was no answer yet.
	//   - Waiting: joined, but without an agent.
	//   - Connected: joined, with a visitor and an agent.
	//   - Offline: the connection is lost, and the Chat is reconnecting.
	//   - Ended: somebody has ended the chat, or it has expired; Ending says which. A chat
	//     that somebody has ended can still be rated for a while.
	//   - Closed: the Chat was closed, or the server has refused it. This is the last event.
	//     Problem is the code of the refusal, Released if this agent no longer has the chat.
	//
	// A Lobby is Connecting, Ready, Offline or Closed.
	State struct {
		State   string
		Problem string
		Ending  *Ending
	}
	// Ending says who has ended a chat and when. Both are zero if the chat has expired.
	Ending struct {
		From      string    `json:"from"`
		Timestamp time.Time `json:"timestamp"`
	}
	// History has all earlier messages, and comes once. Messages from the time of a lost
	// connection come as Message.
	History struct{ Messages []Message }
	// Message is a new message, from either side. Seq is 1 for the chat's first message.
	Message struct {
		UserID    string    `json:"userId"`
		SupportID string    `json:"supportId"`
		Content   string    `json:"content"` // may be empty if there are files
		Timestamp time.Time `json:"timestamp"`
		From      string    `json:"from"` // User or Support
		MessageID string    `json:"messageId,omitempty"`
		Seq       int       `json:"seq"`
		Files     []File    `json:"files,omitempty"`
	}
	// File is a file of a message. Type is the type of its content, whatever its name.
	File struct {
		FileID string `json:"fileId"`
		Name   string `json:"name"`
		Type   string `json:"type"`
		Size   int64  `json:"size"`
		URL    string `json:"url"` // see Chat.AddressOf
	}
	// Joined names the agent who has the chat now.
	Joined struct {
		SupportID       string `json:"supportId"`
		SupportUserName string `json:"supportUserName"`
	}
	// Leaving names the agent who no longer has the chat. The chat waits for the next one.
	Leaving struct {
		SupportID       string `json:"supportId"`
		SupportUserName string `json:"supportUserName"`
		Reason          string `json:"reason"` // transfer, lost, or "" if unknown
	}
	// Receipt has the Seq of the last messages that a side has received and read.
	Receipt struct {
		From      string `json:"from"`
		Delivered int    `json:"delivered"`
		Read      int    `json:"read"`
	}
	// Typing says that the other side is typing or has stopped. It ends automatically.
	Typing struct {
		From   string `json:"from"`
		Typing bool   `json:"typing"`
		Text   string `json:"text"`
	}
	// Presence is that of the other side: online, away, offline, or "" while unknown.
	Presence struct {
		From  string `json:"from"`
		State string `json:"state"`
	}
	// Place is a waiting visitor's place: 1 is next, 0 means that an agent has claimed them.
	// Estimate is in seconds, nil if unknown.
	Place struct {
		Position int  `json:"position"`
		Waiting  int  `json:"waiting"`
		Estimate *int `json:"estimate"`
	}
	// Note is a note for the team. Visitors never see it.
	Note struct {
		Content         string    `json:"content"`
		SupportID       string    `json:"supportId"`
		SupportUserName string    `json:"supportUserName"`
		Timestamp       time.Time `json:"timestamp"`
	}
	// Rating is the visitor's rating. The last one counts.
	Rating struct {
		Score     int       `json:"score"`
		Comment   string    `json:"comment,omitempty"`
		Timestamp time.Time `json:"timestamp"`
	}
)

// Events of a Lobby.
type (
	// Pending is the list of all waiting visitors, the longest waiting first. It comes after
	// each connection, and replaces everything known before, including offers and chats.
	Pending struct{ Users []Visitor }
	// Visitor is a visitor who has begun to wait, at the end of the list or, by Since, at an
	// earlier place.
	Visitor struct {
		Participant
		Verified bool      `json:"verified,omitempty"` // the site has confirmed their identity
		Since    time.Time `json:"since,omitzero"`
		Team     string    `json:"team,omitempty"`
		Message  string    `json:"message,omitempty"` // the beginning of their latest message
		Details  Details   `json:"details,omitzero"`
	}
	// Changed is a visitor whose data have changed.
	Changed struct{ Visitor }
	// Gone names a visitor who no longer waits.
	Gone struct {
		UserID string `json:"userId"`
	}
	// Colleagues has all connected agents, including this one.
	Colleagues struct {
		Agents []Colleague `json:"agents"`
	}
	// Colleague is an agent. A capacity of 0 means any number of chats.
	Colleague struct {
		Agent           string   `json:"agent"`
		SupportUserName string   `json:"supportUserName"`
		Status          string   `json:"status"` // online or away
		Chats           int      `json:"chats"`
		Capacity        int      `json:"capacity"`
		Teams           []string `json:"teams,omitempty"`
	}
	// Offer is a visitor who is offered to this agent. Claim accepts the offer.
	Offer struct {
		Visitor
		Expires time.Time `json:"expires"`
		From    string    `json:"from,omitempty"` // the colleague who has transferred them
		Note    string    `json:"note,omitempty"`
	}
	// OfferGone names an offer that has ended.
	OfferGone struct {
		UserID string `json:"userId"`
	}
	// Talk is a chat with an agent, for supervisors.
	Talk struct {
		Participant
		Agent string    `json:"agent"`
		Team  string    `json:"team,omitempty"`
		Since time.Time `json:"since"`
	}
	// TalkGone names a chat that no longer has an agent.
	TalkGone struct {
		ChatID string `json:"chatId"`
	}
)

// Details is what a visitor's page tells about them. Only agents see it.
type Details struct {
	Page     string            `json:"page,omitempty"`
	Referrer string            `json:"referrer,omitempty"`
	Language string            `json:"language,omitempty"`
	Fields   map[string]string `json:"fields,omitempty"`
}

func (State) event()      {}
func (History) event()    {}
func (Message) event()    {}
func (Joined) event()     {}
func (Leaving) event()    {}
func (Receipt) event()    {}
func (Typing) event()     {}
func (Presence) event()   {}
func (Place) event()      {}
func (Note) event()       {}
func (Rating) event()     {}
func (Pending) event()    {}
func (Visitor) event()    {}
func (Changed) event()    {}
func (Gone) event()       {}
func (Colleagues) event() {}
func (Offer) event()      {}
func (OfferGone) event()  {}
func (Talk) event()       {}
func (TalkGone) event()   {}
