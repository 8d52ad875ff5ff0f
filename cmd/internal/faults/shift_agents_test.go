package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// worker is an agent: one page of the lobby, and a page for each chat.
type worker struct {
	shift       *shift
	name, token string

	mu       sync.Mutex
	pending  map[string]visitor // by user id, as this socket was told
	offers   map[string]offered // likewise
	claiming *visitor
	since    time.Time      // of the claim
	loads    map[string]int // of all agents, as told last
	duties   map[string]*duty
	number   int // of what they have written
	running  sync.WaitGroup
}

// offered is an offer and what the agent is going to do about it.
type offered struct {
	visitor
	does string
	at   time.Time
}

func newWorker(s *shift, name, token string) *worker {
	return &worker{shift: s, name: name, token: token, duties: map[string]*duty{}}
}

// id is the subject of the token.
func (w *worker) id() string { return strings.ToLower(w.name) }

// live is the agent's page of the lobby, socket after socket.
func (w *worker) live(ctx context.Context) {
	defer w.running.Wait()
	for ctx.Err() == nil {
		said := false
		_ = w.shift.call(ctx, caller{
			addr: w.shift.pickLobby(), path: "/users", role: "Support", token: w.token,
			begin: func() string {
				return encode("Load", map[string]any{"batch": true, "features": []string{"offers", "agents", "details"}})
			},
			receive: func(f told) error { return w.receive(ctx, f) },
			tick: func(send send) error {
				if !said {
					said = true
					return send("Status", map[string]any{"status": "online", "capacity": shiftLimit})
				}
				return w.act(send)
			},
		})
		wait(ctx, 50*time.Millisecond+rand.N(200*time.Millisecond))
	}
}

func (w *worker) receive(ctx context.Context, f told) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	who := visitor{UserID: f.Args.UserID, Username: f.Args.Username, ChatID: f.Args.ChatID}
	switch f.Type {
	case "PendingUsers":
		w.pending, w.offers, w.claiming = map[string]visitor{}, map[string]offered{}, nil
		for _, u := range f.Args.Users {
			w.pending[u.UserID] = u
		}
	case "UserJoined":
		w.pending[who.UserID] = who
	case "RemoveUser":
		delete(w.pending, who.UserID)
		if c := w.claiming; c != nil && c.UserID == who.UserID {
			w.claiming = nil
			w.take(ctx, *c)
		}
	case "Offer":
		w.shift.count(&w.shift.sum.offers)
		w.offers[who.UserID] = offered{who, []string{"accept", "accept", "accept", "accept", "decline", "ignore"}[rand.IntN(6)], time.Now().Add(rand.N(400 * time.Millisecond))}
	case "OfferGone":
		delete(w.offers, who.UserID)
	case "Agents":
		w.loads = map[string]int{}
		for _, a := range f.Args.Agents {
			w.loads[a.Agent] = a.Chats
		}
	case "UserChanged":
	case "Error":
		w.claiming = nil
		if code := f.Args.Code; code != "already_taken" && code != "unavailable" {
			w.shift.fail("%s was refused: %s", w.name, f.text)
		}
	default:
		w.shift.fail("%s was told %s", w.name, f.text)
	}
	return nil
}

// act does one thing: it answers an offer, or takes somebody from the list.
func (w *worker) act(send send) error {
	serving := w.shift.serving.Load()
	if !serving && !w.shift.working.Load() {
		return nil
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.claiming != nil {
		if now.Sub(w.since) > 2*time.Second {
			w.claiming = nil
		}
		return nil
	}
	claim := func(v visitor) error {
		w.claiming, w.since = &v, now
		return send("JoinUser", map[string]any{"userId": v.UserID, "chatId": v.ChatID, "username": v.Username})
	}
	for id, o := range w.offers {
		if now.Before(o.at) || w.duties[o.ChatID] != nil {
			continue
		}
		delete(w.offers, id)
		switch {
		case o.does == "accept" || serving:
			w.shift.count(&w.shift.sum.accepted)
			return claim(o.visitor)
		case o.does == "decline":
			w.shift.count(&w.shift.sum.declined)
			return send("Decline", map[string]any{"userId": o.UserID, "chatId": o.ChatID})
		}
		w.shift.count(&w.shift.sum.left)
	}
	if len(w.duties) >= shiftLimit && !serving || !serving && rand.IntN(20) > 0 {
		return nil
	}
	for _, v := range w.pending {
		if w.duties[v.ChatID] == nil {
			w.shift.count(&w.shift.sum.takes)
			return claim(v)
		}
	}
	return nil
}

// take begins a conversation. The caller holds mu.
func (w *worker) take(ctx context.Context, v visitor) {
	if w.duties[v.ChatID] != nil {
		return
	}
	d := &duty{visitor: v, shift: w.shift, agent: w}
	w.duties[v.ChatID] = d
	w.running.Go(func() {
		d.run(ctx)
		w.mu.Lock()
		delete(w.duties, v.ChatID)
		w.mu.Unlock()
	})
}

// has reports whether the agent is in a chat, as this support.
func (w *worker) has(chatID, supportID string) bool {
	w.mu.Lock()
	d := w.duties[chatID]
	w.mu.Unlock()
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.supportID == supportID && !d.over && !d.away
}

// next numbers what the agent writes.
func (w *worker) next() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.number++
	return fmt.Sprintf("%s-%d", w.id(), w.number)
}

// duty is a chat that an agent has taken, with two pages on servers of their own choice.
// The second writes on, until it is told that the chat is another's.
type duty struct {
	visitor
	shift *shift
	agent *worker

	mu        sync.Mutex
	supportID string
	away      bool // has closed the laptop
	over      bool // the chat is not theirs any more, or never was
	giving    bool // has given it on, and is not told yet
}

func (d *duty) run(ctx context.Context) {
	var second sync.WaitGroup
	defer second.Wait()
	until := time.Now().Add(time.Second + rand.N(4*time.Second))
	does := []string{"close", "queue", "colleague", "colleague", "vanish", "vanish"}[rand.IntN(6)]
	begun := false
	for ctx.Err() == nil && !d.isOver() {
		d.page(ctx, func(send send, now time.Time) error {
			if !begun {
				begun = true
				second.Go(func() {
					for ctx.Err() == nil && !d.isOver() {
						if !d.isAway() {
							d.page(ctx, d.writes())
						}
						wait(ctx, 20*time.Millisecond)
					}
				})
			}
			if now.Before(until) || !d.shift.working.Load() {
				return nil
			}
			until = now.Add(time.Second)
			switch does {
			case "close":
				d.shift.count(&d.shift.sum.closed)
				return send("CloseChat", map[string]any{})
			case "vanish":
				d.shift.count(&d.shift.sum.vanished)
				d.set(func() { d.away = true })
				until = now.Add(15 * time.Second)
				does = "queue"
				return errLeft
			}
			writing := false
			d.set(func() { writing, d.giving = d.giving, true })
			if !writing { // the second page is to be in the middle of it
				until = now.Add(50 * time.Millisecond)
				return nil
			}
			to := map[string]any{"to": "queue", "note": "from " + d.agent.name}
			if does == "colleague" {
				to = map[string]any{"to": "agent", "agent": d.shift.colleague(d.agent), "note": "from " + d.agent.name}
			}
			does = "queue" // should the colleague not be there
			d.shift.count(&d.shift.sum.given)
			return send("Transfer", to)
		})
		if d.isAway() {
			wait(ctx, 6*time.Second+rand.N(6*time.Second)) // longer than SUPPORT_GRACE
			d.set(func() { d.away, d.over = false, d.over || rand.IntN(2) == 0 })
		}
		wait(ctx, 20*time.Millisecond+rand.N(30*time.Millisecond))
	}
}

// colleague is another agent.
func (s *shift) colleague(of *worker) string {
	for {
		if one := s.workers[rand.IntN(len(s.workers))]; one != of {
			return one.id()
		}
	}
}

func (d *duty) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *duty) isOver() (is bool) { d.set(func() { is = d.over }); return is }
func (d *duty) isAway() (is bool) { d.set(func() { is = d.away }); return is }

// writes is what the second page does: it writes, and all the faster once the first has
// given the chat on.
func (d *duty) writes() func(send, time.Time) error {
	next := time.Now()
	return func(send send, now time.Time) error {
		var giving bool
		d.set(func() { giving = d.giving })
		if now.Before(next) || !d.shift.working.Load() && !giving {
			return nil
		}
		next = now.Add(100 * time.Millisecond)
		n := 1
		if giving {
			next, n = now, 5
		}
		for range n {
			id := d.agent.next()
			if err := send("ChatMessage", map[string]any{"content": content(id), "from": "Support", "messageId": id}); err != nil {
				return err
			}
		}
		return nil
	}
}

// page is one socket.
func (d *duty) page(ctx context.Context, does func(send, time.Time) error) {
	one := d.shift.view(d.shift.visitOf(d.visitor), d.agent.name, "Support", func(string) int { return 1 })
	err := d.shift.call(ctx, caller{
		addr: d.shift.pick(""), path: "/chat/" + d.ChatID, role: "Support", token: d.agent.token,
		begin: func() string {
			args := map[string]any{"userId": d.UserID, "from": "Support", "supportUserName": d.agent.name, "features": []string{"messageId", "transfer", "close", "notes"}}
			d.set(func() { args["supportId"] = d.supportID })
			return encode("Join", args)
		},
		receive: func(f told) error {
			one.take(f)
			return d.receive(f)
		},
		tick: func(send send) error {
			var id string
			var gone bool
			d.set(func() { id, gone = d.supportID, d.away || d.over })
			switch {
			case gone:
				return errLeft
			case id == "":
				return nil
			}
			return does(send, time.Now())
		},
	})
	one.end()
	switch code := websocket.CloseStatus(err); {
	case errors.Is(err, errReleased), code == websocket.StatusNormalClosure, code == websocket.StatusPolicyViolation:
		d.set(func() { d.over = true })
	}
}

func (d *duty) receive(f told) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch f.Type {
	case "SupportJoinedUser":
		d.supportID = f.Args.SupportID
	case "ChatClosed", "ChatExpired":
		return errReleased
	case "Error":
		switch f.Args.Code {
		case "unavailable", "rate_limited":
		case "not_found":
			d.giving = false
		case "forbidden":
			if d.supportID == "" {
				d.shift.fail("%s: %s was refused: %s", d.ChatID, d.agent.name, f.text)
			}
			d.shift.count(&d.shift.sum.refused)
		case "already_taken", "chat_closed":
			return errReleased
		default:
			d.shift.fail("%s: %s was refused: %s", d.ChatID, d.agent.name, f.text)
		}
	case "SupportLeft":
		if f.Args.SupportID != d.supportID {
			d.shift.fail("%s: %s, who is %s, was told %s", d.ChatID, d.agent.name, d.supportID, f.text)
		}
	case "ChatHistory", "ChatMessage", "Note":
	default:
		d.shift.fail("%s: %s was told %s", d.ChatID, d.agent.name, f.text)
	}
	return nil
}
