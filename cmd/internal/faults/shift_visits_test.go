package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// guest is a visitor who comes again and again, each time into a new chat.
type guest struct {
	shift *shift
	name  string

	mu  sync.Mutex
	now *visit // the latest one
}

// visit is one chat of a visitor.
type visit struct {
	visitor
	shift *shift
	log   *passed // as the test itself has read it last

	mu      sync.Mutex
	sent    int
	sends   map[string]int
	acked   map[string]bool
	here    int       // joined sockets
	away    bool      // has closed the page, and may come back
	left    bool      // will not
	over    bool      // has been told that it is over
	waiting time.Time // since when; zero with a support
}

var errLeft = errors.New("the visitor leaves")

func (g *guest) latest() *visit {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *guest) live(ctx context.Context) {
	for ctx.Err() == nil {
		if g.shift.working.Load() {
			if v, err := register(g.shift.pick(""), g.name); err == nil {
				one := g.shift.visitOf(v)
				g.mu.Lock()
				g.now = one
				g.mu.Unlock()
				one.run(ctx)
			}
		}
		wait(ctx, 100*time.Millisecond+rand.N(500*time.Millisecond))
	}
}

// run is the visit until it is over: one page or two, reloads, messages, and an end that
// the visitor makes unless the agent does.
func (v *visit) run(ctx context.Context) {
	var tab sync.WaitGroup
	defer tab.Wait()
	leaves := time.Now().Add(4*time.Second + rand.N(14*time.Second))
	if rand.IntN(2) == 0 {
		tab.Go(func() { v.page(ctx, "tab", nil) })
	}
	v.page(ctx, "visitor", func(send send, now time.Time) error {
		if !v.shift.working.Load() || now.Before(leaves) {
			return nil
		}
		leaves = now.Add(time.Second)
		if rand.IntN(2) == 0 {
			return send("CloseChat", map[string]any{})
		}
		v.mu.Lock()
		v.away = true
		v.mu.Unlock()
		leaves = now.Add(5*time.Second + rand.N(14*time.Second))
		return errLeft
	})
}

func (v *visit) ended() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.left || v.over
}

// page is one tab, socket after socket. The one that may leave writes.
func (v *visit) page(ctx context.Context, who string, leave func(send, time.Time) error) {
	for ctx.Err() == nil && !v.ended() {
		one := v.shift.view(v, who, "User", func(id string) int { v.mu.Lock(); defer v.mu.Unlock(); return v.sends[id] })
		support, joined := "", false
		sentAt := map[string]time.Time{}
		next, reload := time.Now(), time.Now().Add(3*time.Second+rand.N(6*time.Second))
		_ = v.shift.call(ctx, caller{
			addr: v.shift.pick(""), path: "/chat/" + v.ChatID, role: "User",
			begin: func() string {
				return encode("Join", map[string]any{"userId": v.UserID, "from": "User", "features": []string{"messageId", "transfer", "close"}})
			},
			receive: func(f told) error {
				if !joined && f.Type != "Error" {
					joined = true
					v.arrives()
				}
				one.take(f)
				return v.receive(f, &support)
			},
			tick: func(send send) error {
				now := time.Now()
				v.mu.Lock()
				gone := v.away || v.left || v.over
				v.mu.Unlock()
				switch {
				case gone:
					return errLeft
				case v.shift.working.Load() && now.After(reload):
					return errLeft
				case leave == nil:
					return nil
				}
				if now.After(next) {
					next = now.Add(100*time.Millisecond + rand.N(100*time.Millisecond))
					v.says()
				}
				for _, id := range v.due(sentAt, now) {
					if err := send("ChatMessage", map[string]any{"content": content(id), "from": "User", "messageId": id}); err != nil {
						return err
					}
				}
				return leave(send, now)
			},
		})
		one.end()
		if joined {
			v.departs()
		}
		if leave != nil && v.isAway() {
			wait(ctx, rand.N(8*time.Second)) // which may be longer than users without a socket stay in the queue
			v.mu.Lock()
			v.away, v.left = false, rand.IntN(2) == 0
			v.mu.Unlock()
		}
		for v.isAway() && ctx.Err() == nil {
			wait(ctx, 20*time.Millisecond)
		}
		wait(ctx, 20*time.Millisecond+rand.N(60*time.Millisecond))
	}
}

func (v *visit) isAway() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.away
}

func (v *visit) arrives() {
	v.mu.Lock()
	v.here++
	v.mu.Unlock()
}

func (v *visit) departs() {
	v.mu.Lock()
	v.here--
	if v.here == 0 {
		v.waiting = time.Time{}
	}
	v.mu.Unlock()
}

// says adds a message to what is to be sent.
func (v *visit) says() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shift.working.Load() && v.sent-len(v.acked) < 10 {
		v.sent++
	}
}

// due are the messages to be sent on this socket now: what nobody has confirmed, again
// after a while.
func (v *visit) due(sentAt map[string]time.Time, now time.Time) (ids []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for n := 1; n <= v.sent && len(v.acked) < v.sent; n++ {
		if id := fmt.Sprintf("user-%d", n); !v.acked[id] && now.Sub(sentAt[id]) > 2*time.Second {
			sentAt[id] = now
			v.sends[id]++
			ids = append(ids, id)
		}
	}
	return ids
}

// receive takes a frame; support is whom this socket knows to have the chat.
func (v *visit) receive(f told, support *string) error {
	if strings.Contains(f.text, canary) {
		v.shift.fail("%s: the visitor was shown a note: %s", v.ChatID, f.text)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	waits := func() {
		if v.waiting.IsZero() {
			v.waiting = time.Now()
		}
	}
	switch f.Type {
	case "UserJoined":
		waits()
	case "SupportJoinedUser":
		*support = f.Args.SupportID
		if !v.waiting.IsZero() {
			v.shift.waited(time.Since(v.waiting))
			v.waiting = time.Time{}
		}
	case "SupportLeft":
		if f.Args.SupportID != *support {
			v.shift.fail("%s: %s is said to have left, and %s had the chat", v.ChatID, f.Args.SupportID, *support)
		}
		*support = ""
		waits()
	case "ChatHistory":
		for _, m := range f.Args.Messages {
			if m.From == "User" {
				v.acked[m.MessageID] = true
			}
		}
	case "ChatMessage":
		m := f.Args.message
		if m.From == "User" {
			v.acked[m.MessageID] = true
		} else if m.SupportID != *support {
			v.shift.fail("%s: the voice of %s (%s), while %q has the chat", v.ChatID, m.SupportID, m.MessageID, *support)
		}
	case "ChatClosed":
		v.over = true
	case "Error":
		switch f.Args.Code {
		case "unavailable", "rate_limited", "chat_closed":
		default:
			v.shift.fail("%s: the visitor was refused: %s", v.ChatID, f.text)
		}
	default:
		v.shift.fail("%s: the visitor was told %s", v.ChatID, f.text)
	}
	return nil
}

// waited notes how long a visitor has waited, and returns the longest time so far.
func (s *shift) waited(d time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.longest = max(s.longest, d)
	return s.longest
}
