package client

import (
	"context"
	"encoding/json"
	"time"
)

// claimDoubt is how long after a claim's RemoveUser an Error may still come.
const claimDoubt = 300 * time.Millisecond

// Status is an agent's status. A capacity of 0 means any number of chats.
type Status struct {
	Status   string `json:"status"` // online or away
	Capacity int    `json:"capacity"`
}

// Profile is the agent who opens a lobby.
type Profile struct {
	Name       string // if agents need no tokens
	Supervises bool   // asks for all chats
}

// Lobby is an agent's view of the lobby: the waiting visitors, offers to this agent, colleagues, and
// for supervisors all chats.
type Lobby struct {
	*connection
	profile Profile
	state   State
	status  Status
	told    bool // the status was sent on this connection
	claim   *claim
}

type claim struct {
	userID string
	done   chan claimed // takes one
}

type claimed struct {
	won bool
	err error
}

// OpenLobby connects to the lobby. It returns at once; Events reports the outcome.
func OpenLobby(ctx context.Context, base string, profile Profile, options Options) *Lobby {
	l := &Lobby{profile: profile, state: State{State: Connecting}, status: Status{Status: "online"}}
	l.connection = newConnection(address(base, "/users"), "pong:support", options)
	l.asks = true
	l.start(ctx, l)
	return l
}

// Events is like Chat.Events.
func (l *Lobby) Events() <-chan Event { return l.events }

// Close leaves the lobby, and waits until all goroutines have ended.
func (l *Lobby) Close() { l.close() }

// Err returns why Events was closed: nil after Close or the end of the context, or else a Refusal.
func (l *Lobby) Err() error {
	<-l.done
	return l.failure
}

// Claim takes a visitor who waits or is offered to this agent, so that no other agent can. It returns
// false if another agent was faster, and ErrBehind if another claim is in progress. After any other
// error it is unknown who has the visitor.
func (l *Lobby) Claim(ctx context.Context, visitor Visitor) (bool, error) {
	own := &claim{visitor.UserID, make(chan claimed, 1)}
	var failure error
	if err := l.do(ctx, func() {
		switch {
		case l.over:
			failure = l.reason()
		case l.claim != nil || l.full():
			failure = ErrBehind
		case l.state.State != Ready:
			failure = &Refusal{Code: Unreachable, Message: "The lobby is not connected."}
		default:
			l.claim = own
			l.set(alarmClaim, patience, func() { l.claimed(false, &Refusal{Code: Unreachable, Message: "The lobby does not answer."}) })
			l.send("JoinUser", whom(visitor))
		}
	}); err != nil {
		return false, err
	}
	if failure != nil {
		return false, failure
	}
	select {
	case result := <-own.done:
		return result.won, result.err
	case <-ctx.Done():
		_ = l.do(context.WithoutCancel(ctx), func() {
			if l.claim == own {
				l.claimed(false, nil)
			}
		})
		return false, ctx.Err()
	}
}

// Decline declines an offer, so that another agent gets it.
func (l *Lobby) Decline(ctx context.Context, visitor Visitor) error {
	return l.do(ctx, func() { l.send("Decline", whom(visitor)) })
}

// SetStatus sets whether this agent takes chats, and how many. The Lobby repeats it after a lost
// connection.
func (l *Lobby) SetStatus(ctx context.Context, status Status) error {
	return l.do(ctx, func() {
		l.status = status
		if l.state.State == Ready {
			l.told = true
			l.send("Status", status)
		}
	})
}

func whom(visitor Visitor) any {
	return Participant{UserID: visitor.UserID, ChatID: visitor.ChatID, Username: visitor.Username}
}

func (l *Lobby) opened() {
	load := struct {
		Batch           bool     `json:"batch"`
		Features        []string `json:"features"`
		Heartbeat       int      `json:"heartbeat"`
		SupportUserName string   `json:"supportUserName,omitempty"`
	}{true, []string{"verified", "details", "agents", "offers"}, int(heartbeat.Seconds()), l.profile.Name}
	if l.profile.Supervises {
		load.Features = append(load.Features, "chats")
	}
	if l.shown != "" {
		load.SupportUserName = ""
	}
	l.send("Load", load)
}

func (l *Lobby) receive(kind string, args json.RawMessage) {
	switch kind {
	case "PendingUsers":
		var e Pending
		if decode(args, &e) {
			l.accept()
			l.move(State{State: Ready})
			l.tell(e)
		}
	case "UserJoined":
		tell[Visitor](l, args)
	case "UserChanged":
		tell[Changed](l, args)
	case "Agents":
		if !l.promised {
			l.promise()
		}
		tell[Colleagues](l, args)
		// A status ends with the agent's last connection.
		if !l.told && l.status != (Status{Status: "online"}) {
			l.send("Status", l.status)
		}
		l.told = true
	case "Offer":
		tell[Offer](l, args)
	case "OfferGone":
		tell[OfferGone](l, args)
	case "Chat":
		tell[Talk](l, args)
	case "ChatGone":
		tell[TalkGone](l, args)
	case "RemoveUser":
		if e, ok := tell[Gone](l, args); ok && l.claim != nil && l.claim.userID == e.UserID {
			// Another agent may have won: then an Error follows.
			l.set(alarmClaim, claimDoubt, func() { l.claimed(true, nil) })
		}
	case "Error":
		var e struct{ Code, Message string }
		if decode(args, &e) {
			l.failed(&Refusal{e.Code, e.Message})
		}
	}
}

func tell[E Event](l *Lobby, args json.RawMessage) (e E, ok bool) {
	if ok = decode(args, &e); ok {
		l.tell(e)
	}
	return e, ok
}

func (l *Lobby) failed(err *Refusal) {
	switch {
	case err.Code == "unauthorized":
		l.state.Problem = err.Code // a close frame follows
	case l.claim != nil && err.Code == "already_taken":
		l.claimed(false, nil)
	case l.claim != nil:
		l.claimed(false, err)
	case l.state.State == Ready:
	case err.Code == "unavailable":
		l.restart(0)
	default:
		l.stop()
		l.refused(err.Code)
	}
}

func (l *Lobby) claimed(won bool, err error) {
	if l.claim != nil {
		l.claim.done <- claimed{won, err}
		l.claim = nil
	}
	l.clear(alarmClaim)
}

func (l *Lobby) lost() {
	l.told = false
	l.claimed(false, &Refusal{Code: Unreachable, Message: "The connection was lost."})
	l.move(State{State: Offline})
}

func (l *Lobby) refused(code string) {
	if code != "" {
		if l.state.Problem != "" {
			code = l.state.Problem
		}
		l.failure = &Refusal{Code: code}
	}
	l.claimed(false, l.reason())
	l.move(State{State: Closed, Problem: code})
}

func (l *Lobby) behind() { l.claimed(false, ErrBehind) }

func (l *Lobby) leaving() {}

func (l *Lobby) move(state State) {
	if state != l.state {
		l.state = state
		l.tell(state)
	}
}
