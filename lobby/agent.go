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

// Agent is the session of one socket of port 9001. Only one goroutine at a time calls
// Receive. Closed is called once, after the last Receive.
type Agent struct {
	lobby *Lobby
	peer  wire.Peer
	who   *wire.Identity // nil if agents need no tokens
	id    string         // holder of this agent's claims: the token's sub, or without tokens an id of this socket

	// Guarded by Lobby.mu:
	loadedAt int64            // the Lobby's step at the first Load; 0 before
	group    groupKey         // from the latest Load
	lists    listing          // from the latest Load
	name     string           // of the agent; may be empty without tokens
	told     map[string]int64 // by user id: the step at which only this agent was sent RemoveUser
	seated   bool             // is in staff.people
	status   status           // the latest Status from this socket
	// When this socket last got the list of all agents, and in which version. rosterDue
	// means that a new Load has made that irrelevant.
	rosterAt   time.Time
	rosterSeen int64
	rosterDue  bool
	offered    map[string]shownOffer // by chat: the offers that this socket was sent
	accepting  string                // the chat of the offer that it is about to accept
}

// toldBound is the maximum size of Agent.told.
const toldBound = 1000

// Connect begins an agent's session. With tokens, the agent holds the claims, so all of an
// agent's sockets share them; without tokens, the socket holds them.
func (l *Lobby) Connect(peer wire.Peer, agent *wire.Identity) *Agent {
	l.metrics.agents.Inc()
	a := &Agent{lobby: l, peer: peer, who: agent}
	if agent != nil {
		a.id, a.name = agent.Subject, agent.Name
	} else {
		a.id = wire.NewID()
	}
	return a
}

// LogValue names the session in the log.
func (a *Agent) LogValue() slog.Value { return slog.StringValue("agent") }

// Closed ends the session. The agent's claims expire on their own.
func (a *Agent) Closed() {
	l := a.lobby
	l.metrics.agents.Dec()
	l.mu.Lock()
	if a.loadedAt > 0 {
		l.groups.leave(a.group)
		l.staff.rise(a)
	}
	delete(l.agents, a)
	l.mu.Unlock()
}

// Overdue returns false: an agent can stay connected without a Load.
func (a *Agent) Overdue(time.Time) bool { return false }

// ReceiveNow handles a frame if it is the answer to a ping. All else may wait for the store.
func (a *Agent) ReceiveNow(frame []byte) bool {
	if !wire.MayBe(frame, wire.KindPong) {
		return wire.IsPong(frame)
	}
	kind, _, err := wire.Decode(frame)
	return err == nil && kind == wire.KindPong
}

// Receive handles one text frame (web/api/README.md, "Lobby, port 9001"). Its time limit
// for the store starts at readable, when the frame could be read. light reports a pong.
func (a *Agent) Receive(frame []byte, readable time.Time) (light bool) {
	if wire.IsPong(frame) {
		return true
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
		case "Status":
			err = a.say(args)
		case "Decline":
			err = a.decline(args, deadline)
		default:
			err = wire.UnknownKind
		}
	}
	if err != nil {
		a.lobby.metrics.refusals.Count(err.Code)
		a.queue(err.Payload(""))
		a.peer.Flush()
	}
	return kind == wire.KindPong
}

func (a *Agent) queue(payload []byte) { a.peer.Queue(a.lobby.cfg.Frame(payload)) }

// load sends the picture to the agent and, in the same locked step, subscribes the agent to
// its changes.
func (a *Agent) load(args jsontext.Value, deadline time.Time) *wire.Error {
	var request struct {
		Batch     bool           `json:"batch"`
		Features  []string       `json:"features"` // unknown ones are ignored
		Heartbeat wire.Heartbeat `json:"heartbeat"`
		Name      string         `json:"supportUserName"`
	}
	if err := wire.DecodeArgs(args, &request); err != nil {
		return err
	}
	name, refusal := a.nameOf(request.Name)
	if refusal != nil {
		return refusal
	}
	l := a.lobby
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	w := wish{
		at: l.cfg.Queue.cfg.DB.Now().UnixMicro(), name: name,
		group: groupKey{audienceOf(request.Features), a.teams()}, lists: a.listingOf(request.Features),
	}
	var err error
	if w.lists != 0 {
		err = l.seatAtOnce(ctx, a, w)
	}
	if err == nil {
		// With this, the snapshot has every user whose Join was answered.
		err = l.refresh(ctx)
	}
	if err != nil {
		l.mu.Lock()
		l.staff.tell(a.id) // the state before the Load
		l.mu.Unlock()
		l.cfg.Log.Warn("a Load failed", "error", err)
		return wire.Public(err)
	}
	l.mu.Lock()
	w.group.teams = a.teams() // the settings may have changed meanwhile
	if a.loadedAt > 0 {
		l.groups.leave(a.group)
	} else {
		l.step++
		a.loadedAt = l.step
		l.agents[a] = struct{}{}
	}
	a.name, a.group = w.name, w.group
	l.groups.enter(a.group)
	a.peer.Queue(l.pending.snapshot(request.Batch, a.group.audience, a.group.teams))
	a.follow(w)
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

// wish is what a Load asks for.
type wish struct {
	at    int64 // when, in microseconds since 1970
	name  string
	group groupKey
	lists listing
}

// listingOf returns the features that a Load lists and the agent may use.
func (a *Agent) listingOf(features []string) (lists listing) {
	for _, feature := range features {
		lists |= listings[feature]
	}
	if a.who != nil && !a.who.Supervisor {
		lists &^= listsChats
	}
	return lists
}

// follow sends a newly loaded socket the current state of what it lists. The caller holds
// Lobby.mu.
func (a *Agent) follow(w wish) {
	l, lists := a.lobby, w.lists
	l.staff.sit(a, w)
	if lists.has(listsChats) {
		a.peer.Queue(l.showChats())
	}
	if lists.has(listsOffers) {
		a.showOffers()
	}
	if lists.has(listsAgents) {
		a.rosterDue = true
		l.tellAgents(time.Now())
	}
}

// nameOf returns the agent's name, or an error if a Load must not give this one.
func (a *Agent) nameOf(given string) (string, *wire.Error) {
	if given == "" {
		if a.who != nil {
			return a.who.Name, nil
		}
		return "", nil
	}
	name, ok := wire.Name(given)
	switch {
	case a.who != nil && name != a.who.Name:
		return "", wire.NewError(wire.Forbidden, `The field "supportUserName" is not the name in your token. You can leave it out.`)
	case !ok:
		return "", wire.NewError(wire.BadRequest, `The field "supportUserName" must have `+wire.NameWanted+".")
	}
	return name, nil
}

// teams returns the agent's teams, without those that the settings do not have.
func (a *Agent) teams() teamSet {
	if a.who == nil {
		return ""
	}
	return newTeamSet(a.who.Teams, a.lobby.cfg.HasTeam)
}

// say handles a Status (web/api/README.md, "agents").
func (a *Agent) say(args jsontext.Value) *wire.Error {
	var request struct {
		Status   *string `json:"status"`
		Capacity *int    `json:"capacity"`
	}
	if err := wire.DecodeArgs(args, &request); err != nil {
		return err
	}
	switch {
	case request.Status == nil:
		return wire.Missing("status")
	case request.Capacity == nil:
		return wire.Missing("capacity")
	case *request.Status != statusOnline && *request.Status != statusAway:
		return wire.NewError(wire.BadRequest, `The field "status" must be "online" or "away".`)
	case *request.Capacity < 0 || *request.Capacity > maxCapacity:
		return wire.NewError(wire.BadRequest, `The field "capacity" must be a whole number from 0 to 100.`)
	}
	l := a.lobby
	l.mu.Lock()
	defer l.mu.Unlock()
	at := max(l.cfg.Queue.cfg.DB.Now().UnixMicro(), a.status.at+1)
	a.status = status{at, *request.Status == statusAway, *request.Capacity}
	l.staff.say(a)
	return nil
}

// maxCapacity is the maximum capacity of an agent.
const maxCapacity = 100

// joinUser claims a user for this agent.
func (a *Agent) joinUser(args jsontext.Value, deadline time.Time) *wire.Error {
	u, refusal := userOf(args)
	if refusal != nil {
		return refusal
	}
	l := a.lobby
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	_, span := l.cfg.Tracer.Begin(ctx, "lobby.claim", trace.SpanKindServer)
	teams := a.accept(u.ChatID)
	result, err := l.cfg.Queue.claim(ctx, u.ChatID, u.UserID, a.id, teams)
	won, again := result.won(), result == claimedAgain
	if span.IsRecording() {
		span.SetAttributes(attribute.Bool("livesupport.won", won))
	}
	wire.EndSpan(span, err)
	if err != nil {
		a.accepted(u, true)
		l.cfg.Log.Warn("cannot claim a user", "chat", wire.ShortID(u.ChatID), "error", err)
		return wire.Public(err)
	}
	l.countClaim(u.UserID, won, again)
	// This informs the loaded agents, including this one. If it fails, the others learn
	// of the claim a little later, and this agent below.
	if err := l.refresh(ctx); err != nil {
		l.cfg.Log.Warn("cannot read the queue after a claim", "error", err)
	}
	a.accepted(u, won)
	l.mu.Lock()
	if again || result == claimAccepted || !a.knowsGone(u.UserID) {
		a.tell(u.UserID)
	}
	l.mu.Unlock()
	if !won {
		return wire.NewError(wire.AlreadyTaken, "Another agent has taken this user, or the user has left.")
	}
	a.peer.Flush()
	return nil
}

// userOf decodes the user that an agent names.
func userOf(args jsontext.Value) (u User, err *wire.Error) {
	if err := wire.DecodeArgs(args, &u); err != nil {
		return u, err
	}
	switch {
	case u.UserID == "":
		return u, wire.Missing("userId")
	case u.ChatID == "":
		return u, wire.Missing("chatId")
	}
	return u, nil
}

// accept records that this socket is about to claim a user, so that the socket gets no
// OfferGone for a user that it accepts. It returns the agent's teams.
func (a *Agent) accept(chatID string) teamSet {
	a.lobby.mu.Lock()
	defer a.lobby.mu.Unlock()
	if _, offered := a.offered[chatID]; offered {
		a.accepting = chatID
	}
	return a.group.teams
}

// accepted ends what accept began, once the outcome of the claim is known. If the socket
// was too late, it gets OfferGone.
func (a *Agent) accepted(u User, won bool) {
	a.lobby.mu.Lock()
	defer a.lobby.mu.Unlock()
	if a.accepting == acceptedOver && !won {
		a.queue(offerGonePayload(u.UserID))
	}
	a.accepting = ""
}

// acceptedOver replaces the chat in Agent.accepting once the offer has ended.
const acceptedOver = "over"

// countClaim counts a claim. Call it before the picture shows the claim.
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
		} else if r, ok := l.removed[userID]; ok { // the queue was read in between
			l.metrics.wait.Observe(time.Since(r.since).Seconds())
		}
	}
}

// knowsGone reports whether this agent got RemoveUser for a user after the user's last
// announcement. The caller holds Lobby.mu.
func (a *Agent) knowsGone(userID string) bool {
	l := a.lobby
	if u := l.pending.get(userID); u != nil {
		return a.told[userID] > u.announced
	}
	r := l.removed[userID]
	return a.told[userID] > r.announced || a.loadedAt > 0 && a.loadedAt <= r.removed && a.group.teams.sees(r.team)
}

// tell sends RemoveUser only to this agent. The caller holds Lobby.mu.
func (a *Agent) tell(userID string) {
	if a.told == nil || len(a.told) >= toldBound {
		a.told = map[string]int64{}
	}
	a.lobby.step++
	a.told[userID] = a.lobby.step
	a.queue(event{Kind: kindRemoveUser, User: User{UserID: userID}}.payload(plain))
}
