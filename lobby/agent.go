package lobby

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"livesupport/lobby/wire"

	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Agent is one socket of port 9001. Receive is called by one goroutine at a
// time; Closed once, after the last Receive.
type Agent struct {
	lobby *Lobby
	peer  wire.Peer
	id    string // who holds this agent's claims: a person, or with agents unknown this socket

	// Guarded by Lobby.mu:
	loadedAt int64            // the Lobby's step at the first Load; 0 before
	audience audience         // what the latest Load has asked for
	told     map[string]int64 // by user id: the step at which this agent alone was sent RemoveUser
}

// toldBound is of how many users an agent's socket remembers that.
const toldBound = 1000

// Connect begins an agent's session. Claims are held by the agent if it is known
// who that is, so all of an agent's sockets share them; else by the socket.
func (l *Lobby) Connect(peer wire.Peer, agent *wire.Identity) *Agent {
	l.metrics.agents.Inc()
	a := &Agent{lobby: l, peer: peer}
	if agent != nil {
		a.id = agent.Subject
	} else {
		a.id = wire.NewID()
	}
	return a
}

// LogValue names the session in the log.
func (a *Agent) LogValue() slog.Value { return slog.StringValue("agent") }

// Closed ends the session. Claims run out by themselves.
func (a *Agent) Closed() {
	l := a.lobby
	l.metrics.agents.Dec()
	l.mu.Lock()
	if a.loadedAt > 0 {
		l.listening[a.audience]--
	}
	delete(l.agents, a)
	l.mu.Unlock()
}

// Overdue reports false: an agent may look on for as long as they like.
func (a *Agent) Overdue(time.Time) bool { return false }

// Receive handles one text frame (PROTOCOL.md, "Lobby"), which could be read at
// readable: its time for the store counts from then.
func (a *Agent) Receive(frame []byte, readable time.Time) {
	if wire.IsPong(frame) {
		return
	}
	kind, args, err := wire.Decode(frame)
	if err == nil {
		deadline := readable.Add(storeTimeout)
		switch kind {
		case wire.KindPong:
		case "Load":
			err = a.load(args, deadline)
		case "JoinUser":
			err = a.joinUser(args, deadline)
		default:
			err = wire.UnknownKind
		}
	}
	if err != nil {
		a.lobby.metrics.refusals.Count(err.Code)
		a.queue(err.Payload(""))
		a.peer.Flush()
	}
}

func (a *Agent) queue(payload []byte) { a.peer.Queue(a.lobby.cfg.Frame(payload)) }

// load sends the picture and from then on, in the same locked step, all that
// changes it.
func (a *Agent) load(args jsontext.Value, deadline time.Time) *wire.Error {
	var request struct {
		Batch     bool           `json:"batch"`
		Features  []string       `json:"features"` // unknown ones are ignored
		Heartbeat wire.Heartbeat `json:"heartbeat"`
	}
	if err := wire.DecodeArgs(args, &request); err != nil {
		return err
	}
	l := a.lobby
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	// A user whose chat server has answered their Join is in the snapshot.
	if err := l.refresh(ctx); err != nil {
		l.cfg.Log.Warn("an agent's Load failed", "error", err)
		return wire.Public(err)
	}
	l.mu.Lock()
	if a.loadedAt > 0 {
		l.listening[a.audience]--
	} else {
		l.step++
		a.loadedAt = l.step
		l.agents[a] = struct{}{}
	}
	a.audience = audienceOf(request.Features)
	l.listening[a.audience]++
	a.peer.Queue(l.pending.snapshot(request.Batch, a.audience))
	l.mu.Unlock()
	a.peer.Heartbeat(time.Duration(request.Heartbeat))
	a.peer.Flush()
	return nil
}

func audienceOf(features []string) audience {
	switch {
	case slices.Contains(features, featureDetails):
		return detailed
	case slices.Contains(features, featureVerified):
		return verified
	}
	return plain
}

// joinUser claims a user for this agent.
func (a *Agent) joinUser(args jsontext.Value, deadline time.Time) *wire.Error {
	var u User
	if err := wire.DecodeArgs(args, &u); err != nil {
		return err
	}
	switch {
	case u.UserID == "":
		return wire.Missing("userId")
	case u.ChatID == "":
		return wire.Missing("chatId")
	}
	l := a.lobby
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	_, span := l.cfg.Tracer.Begin(ctx, "lobby.claim", trace.SpanKindServer)
	won, again, err := l.cfg.Queue.Claim(ctx, u.ChatID, u.UserID, a.id)
	if span.IsRecording() {
		span.SetAttributes(attribute.Bool("livesupport.won", won))
	}
	wire.EndSpan(span, err)
	if err != nil {
		l.cfg.Log.Warn("a claim failed", "chat", wire.ShortID(u.ChatID), "error", err)
		return wire.Public(err)
	}
	l.countClaim(u.UserID, won, again)
	// Tells the loaded agents, this one included. If it fails, they learn a
	// little later, and this agent is told below.
	if err := l.refresh(ctx); err != nil {
		l.cfg.Log.Warn("looking at the queue after a claim", "error", err)
	}
	l.mu.Lock()
	if again || !a.knowsGone(u.UserID) {
		a.tell(u.UserID)
	}
	l.mu.Unlock()
	if !won {
		return wire.NewError(wire.AlreadyTaken, "Another agent has taken this user, or the user has left.")
	}
	a.peer.Flush()
	return nil
}

// countClaim is called before the picture shows the claim.
func (l *Lobby) countClaim(userID string, won, again bool) {
	switch {
	case again:
		l.metrics.again.Inc()
	case !won:
		l.metrics.lost.Inc()
	default:
		l.metrics.won.Inc()
		l.mu.Lock()
		defer l.mu.Unlock()
		if u := l.pending.get(userID); u != nil {
			l.metrics.wait.Observe(time.Since(u.since).Seconds())
		} else if r, ok := l.removed[userID]; ok { // another look has come first
			l.metrics.wait.Observe(time.Since(r.since).Seconds())
		}
	}
}

// knowsGone reports whether this agent has had RemoveUser for a user since that
// user's last announcement. The caller holds Lobby.mu.
func (a *Agent) knowsGone(userID string) bool {
	l := a.lobby
	if u := l.pending.get(userID); u != nil {
		return a.told[userID] > u.announced
	}
	r := l.removed[userID]
	return a.told[userID] > r.announced || a.loadedAt > 0 && a.loadedAt <= r.removed
}

// tell sends RemoveUser to this agent alone. The caller holds Lobby.mu.
func (a *Agent) tell(userID string) {
	if a.told == nil || len(a.told) >= toldBound {
		a.told = map[string]int64{}
	}
	a.lobby.step++
	a.told[userID] = a.lobby.step
	a.queue(event{Kind: kindRemoveUser, User: User{UserID: userID}}.payload(plain))
}
