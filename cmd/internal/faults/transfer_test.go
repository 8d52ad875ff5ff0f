package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// owner is an agent who takes a chat, writes, and gives it on, with two sockets on two
// servers. The second one does nothing but write, until it is closed: what it writes
// when the first has given the chat on is stale. Some vanish instead, until the chat is
// taken from them, and come back or do not.
type owner struct {
	chat *handed
	name string

	mu        sync.Mutex
	supportID string
	number    int
	gone      bool // has been told that the chat is not theirs
	away      bool // has vanished
	refused   int  // messages, as forbidden
	letIn     bool // with the old supportId, after that
}

// handed is a chat that goes from hand to hand.
type handed struct {
	visitor
	world *world

	mu     sync.Mutex
	owners []*owner
	shown  []message       // to the visitor, in this order
	seen   map[string]bool // by its messageId
	acked  map[string]bool // of the visitor's own
	sent   int
	lost   int // times that the visitor was told that the support is lost
	taken  int // times that an old supportId was refused
	faults []string
}

func (h *handed) fail(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.faults) < 5 {
		h.faults = append(h.faults, h.ChatID+": "+fmt.Sprintf(format, args...))
	}
}

const (
	lostAfter = 3 * time.Second // SUPPORT_GRACE
	// lostWithin is how soon a chat is taken from who is not there, even if a server has died.
	lostWithin = lostAfter + 30*time.Second
)

var errReleased = errors.New("the chat is another's")

// session is one socket of a role, on a server of its own choice.
func (h *handed) session(ctx context.Context, role string, begin func() string, receive func(told) error, tick func(send) error) error {
	return h.world.call(ctx, caller{
		addr: h.world.pick(""), path: "/chat/" + h.ChatID, role: role, begin: begin, receive: receive, tick: tick,
	})
}

// visit is the visitor's life: socket after socket, a message every 100 ms, and again
// what has not been acknowledged.
func (h *handed) visit(ctx context.Context, writes func() bool) {
	for ctx.Err() == nil {
		sentAt := map[string]time.Time{}
		next := time.Now()
		_ = h.session(ctx, "User", func() string {
			return encode("Join", map[string]any{"userId": h.UserID, "from": "User", "features": []string{"messageId", "transfer"}})
		}, h.receive, func(send send) error {
			now := time.Now()
			h.mu.Lock()
			if now.After(next) && writes() && h.sent-len(h.acked) < 20 {
				next = now.Add(100 * time.Millisecond)
				h.sent++
			}
			var due []string
			for n := 1; n <= h.sent && len(h.acked) < h.sent; n++ {
				if id := fmt.Sprintf("user-%d", n); !h.acked[id] && now.Sub(sentAt[id]) > 2*time.Second {
					sentAt[id] = now
					due = append(due, id)
				}
			}
			h.mu.Unlock()
			for _, id := range due {
				if err := send("ChatMessage", map[string]any{"content": content(id), "from": "User", "messageId": id}); err != nil {
					return err
				}
			}
			return nil
		})
		wait(ctx, 20*time.Millisecond+rand.N(60*time.Millisecond))
	}
}

// receive takes what the visitor is shown.
func (h *handed) receive(f told) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	take := func(m message) {
		if m.From == "User" {
			h.acked[m.MessageID] = true
		}
		if !h.seen[m.MessageID] {
			h.seen[m.MessageID] = true
			h.shown = append(h.shown, m)
		}
	}
	switch f.Type {
	case "ChatHistory":
		for _, m := range f.Args.Messages {
			take(m)
		}
	case "ChatMessage":
		take(f.Args.message)
	case "SupportLeft":
		if f.Args.Reason == "lost" {
			h.lost++
		}
	case "Error":
		if f.Args.Code != "unavailable" && f.Args.Code != "rate_limited" {
			return fmt.Errorf("refused: %s", f.Args.Code)
		}
	}
	return nil
}

// own takes the chat, has it for a while with both sockets, and gives it on, or vanishes,
// and then comes back or does not.
func (o *owner) own(ctx context.Context, release time.Duration, vanishes, returns bool) {
	var second sync.WaitGroup
	defer second.Wait()
	until := time.Now().Add(release)
	joined := false
	for ctx.Err() == nil && !o.isGone() {
		err := o.chat.session(ctx, "Support", o.join, func(f told) error {
			err := o.receive(f)
			if !joined && err == nil && o.id() != "" {
				joined = true
				second.Go(func() { o.writeOn(ctx) })
			}
			return err
		}, func(send send) error {
			if time.Now().Before(until) || o.id() == "" {
				return nil
			}
			if vanishes {
				vanishes = false
				o.setAway(true)
				return errVanished
			}
			until = time.Now().Add(time.Second)
			return send("Transfer", map[string]any{"to": "queue", "note": "from " + o.name})
		})
		if o.isAway() {
			if !o.chat.loses(ctx, o.id()) || !returns {
				o.ended(errReleased)
				return
			}
			until = time.Now().Add(release)
			o.setAway(false)
			continue
		}
		o.ended(err)
		wait(ctx, 20*time.Millisecond+rand.N(30*time.Millisecond))
	}
	o.knocks(ctx)
}

var errVanished = errors.New("the agent has closed the laptop")

// loses waits until the log says that a support is lost.
func (h *handed) loses(ctx context.Context, supportID string) bool {
	for end := time.Now().Add(lostWithin); ctx.Err() == nil; wait(ctx, 200*time.Millisecond) {
		entries, err := h.world.readLog(h.ChatID)
		switch {
		case err != nil:
			h.fail("%v", err)
			return false
		case passedOn(entries).lost[supportID] > 0:
			return true
		case time.Now().After(end):
			h.fail("%s is not lost within %v", supportID, lostWithin)
			return false
		}
	}
	return false
}

// writeOn is the second socket: it writes and writes, until the chat is
// another's by what this socket is told.
func (o *owner) writeOn(ctx context.Context) {
	for ctx.Err() == nil && !o.isGone() {
		if o.isAway() {
			wait(ctx, 20*time.Millisecond)
			continue
		}
		next := time.Now()
		err := o.chat.session(ctx, "Support", o.join, o.receive, func(send send) error {
			now := time.Now()
			switch {
			case o.isAway():
				return errVanished
			case now.Before(next):
				return nil
			}
			next = next.Add(20 * time.Millisecond)
			o.mu.Lock()
			o.number++
			id := fmt.Sprintf("%s-%d", o.name, o.number)
			o.mu.Unlock()
			return send("ChatMessage", map[string]any{"content": content(id), "from": "Support", "messageId": id})
		})
		o.ended(err)
		wait(ctx, 20*time.Millisecond)
	}
}

// ended notes that the server has closed a socket because the chat is another's.
func (o *owner) ended(err error) {
	if errors.Is(err, errReleased) || websocket.CloseStatus(err) == websocket.StatusNormalClosure {
		o.mu.Lock()
		o.gone = true
		o.mu.Unlock()
	}
}

func (o *owner) isGone() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gone
}

func (o *owner) isAway() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.away
}

func (o *owner) setAway(away bool) {
	o.mu.Lock()
	o.away = away
	o.mu.Unlock()
}

func (o *owner) id() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.supportID
}

func (o *owner) join() string {
	return encode("Join", map[string]any{
		"userId": o.chat.UserID, "from": "Support", "supportUserName": o.name, "supportId": o.id(), "features": []string{"messageId"},
	})
}

func (o *owner) receive(f told) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case f.Type == "SupportJoinedUser" && o.supportID == "":
		o.supportID = f.Args.SupportID
	case f.Type != "Error", f.Args.Code == "unavailable", f.Args.Code == "rate_limited":
	case f.Args.Code == "forbidden":
		o.refused++
	case f.Args.Code == "already_taken":
		if o.supportID == "" { // a dead server has taken it for this owner, whose answer was lost
			return fmt.Errorf("taken")
		}
		return errReleased
	default:
		o.chat.fail("%s is told %s", o.name, f.Args.Code)
	}
	return nil
}

// knocks tries the old supportId once more.
func (o *owner) knocks(ctx context.Context) {
	for ctx.Err() == nil && o.id() != "" {
		refused := false
		_ = o.chat.session(ctx, "Support", o.join, func(f told) error {
			switch {
			case f.Type == "Error" && f.Args.Code == "already_taken":
				refused = true
			case f.Type != "Error":
				o.mu.Lock()
				o.letIn = true
				o.mu.Unlock()
				return errReleased
			}
			return nil
		}, func(send) error { return nil })
		if refused {
			o.chat.mu.Lock()
			o.chat.taken++
			o.chat.mu.Unlock()
		}
		if refused || o.letIn {
			return
		}
		wait(ctx, 50*time.Millisecond)
	}
}

// Chats go from one agent to the next and through the queue under full traffic, while
// those who had them go on writing and servers are killed. No message of a stale owner
// is delivered, nothing of the visitors is lost, every server shows the same, and in
// the end everybody is in the queue.
func TestTransfer(t *testing.T) {
	eachBroker(t, func(w *world, s scale) {
		env := []string{"SUPPORT_GRACE=" + lostAfter.String(), "MESSAGE_RATE=100", "MESSAGE_BURST=200"}
		servers := []*server{w.startChat(env...), w.startChat(env...), w.startChat(env...)}
		lobby := w.startLobby()
		agents := w.watchers(nil)
		ctx, stop := context.WithCancel(w.Context())
		var visitors, owners sync.WaitGroup
		defer visitors.Wait()
		defer owners.Wait()
		defer stop()
		handing, release := context.WithCancel(ctx)
		defer release()
		chats := make([]*handed, s.chats/3)
		var waiting []waiter
		for i := range chats {
			h := &handed{visitor: w.register(w.pick(""), fmt.Sprintf("Visitor%d", i)), world: w, seen: map[string]bool{}, acked: map[string]bool{}}
			chats[i] = h
			waiting = append(waiting, waiter{visitor: h.visitor})
			visitors.Go(func() { h.visit(ctx, func() bool { return handing.Err() == nil }) })
			owners.Go(func() {
				for n := 0; handing.Err() == nil; n++ {
					o := &owner{chat: h, name: fmt.Sprintf("%s%d", []string{"Vika", "Dodo"}[n%2], n)}
					h.mu.Lock()
					h.owners = append(h.owners, o)
					h.mu.Unlock()
					o.own(ctx, 300*time.Millisecond+rand.N(500*time.Millisecond), n%5 == i%5, i%2 == 0)
				}
			})
		}
		for range s.kills {
			wait(ctx, 2*time.Second+rand.N(2*time.Second))
			i := rand.IntN(len(servers))
			w.kill(servers[i])
			servers[i] = w.startChat(env...)
		}
		wait(ctx, 2*time.Second)
		release()
		ended := make(chan struct{})
		go func() { owners.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(lostWithin + 30*time.Second):
			w.Error("some agents still have their chats")
		}
		settled := poll(30*time.Second, func() bool {
			for _, h := range chats {
				h.mu.Lock()
				quiet := len(h.acked) == h.sent && len(h.shown) == len(passedOn(w.log(h.ChatID)).messages)
				h.mu.Unlock()
				if !quiet {
					return false
				}
			}
			return true
		})
		if !settled {
			w.Error("the visitors have not been shown everything")
		}
		var sum struct{ releases, lost, told, back, stale, refused, knocked, messages, sent int }
		for _, h := range chats {
			p := passedOn(w.log(h.ChatID))
			for _, fault := range h.faults {
				w.Error(fault)
			}
			if got, want := bare(h.shown), bare(p.messages); !slices.Equal(got, want) {
				w.Errorf("%s: the visitor was shown %d messages, the log has %d", h.ChatID, len(got), len(want))
			}
			for _, m := range h.shown {
				if p.stale[m.MessageID] {
					w.Errorf("%s: %s is stale, and was delivered", h.ChatID, m.MessageID)
				}
			}
			for n := range h.sent {
				if id := fmt.Sprintf("user-%d", n+1); !h.seen[id] {
					w.Errorf("%s: %s is lost", h.ChatID, id)
				}
			}
			for i, one := range servers {
				history, err := w.history(one, h.visitor)
				if err != nil || !slices.Equal(bare(history), bare(p.messages)) {
					w.Errorf("%s: server %d shows %d messages, the log has %d: %v", h.ChatID, i, len(history), len(p.messages), err)
				}
			}
			for _, o := range h.owners {
				sum.refused += o.refused
				if o.letIn && p.lost[o.supportID] == 0 {
					w.Errorf("%s: %s has given the chat on, and was let in again", h.ChatID, o.name)
				}
			}
			if p.support != "" {
				w.Errorf("%s: %s has it", h.ChatID, p.support)
			}
			for _, n := range p.given {
				sum.releases += n
			}
			for _, n := range p.lost {
				sum.lost += n
			}
			sum.told += h.lost
			sum.back += p.takeBack
			sum.stale += len(p.stale)
			sum.knocked += h.taken
			sum.messages += len(p.messages)
			sum.sent += h.sent
		}
		w.shows("at the end", 20*time.Second, agents, waiting)
		w.correct(agents)
		w.Logf("%s: %d chats were given on %d times and lost %d times (visitors told %d times), of which %d were taken back; %d messages, %d of them the visitors', none lost; %d stale messages in the logs, none delivered; %d messages refused as forbidden, %d old supportIds as taken",
			w.Name(), len(chats), sum.releases, sum.lost, sum.told, sum.back, sum.messages, sum.sent, sum.stale, sum.refused, sum.knocked)
		if sum.releases < 2*len(chats) || sum.lost == 0 || sum.told == 0 || sum.back == 0 {
			w.Errorf("only %d releases, %d lost and %d taken back", sum.releases, sum.lost, sum.back)
		}
		w.alive(append(servers, lobby)...)
	})
}
