package faults_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// boss is the supervisor: a page of the lobby with all chats, of which they look on at one
// after the other, write notes, have some for themselves, and end some.
type boss struct {
	*worker
	closing atomic.Bool // ends whatever there is
	looks   int         // so far

	mu    sync.Mutex
	chats map[string]visitor // that have a support, as this socket was told
}

var errSeen = errors.New("the supervisor has seen enough")

func newBoss(s *shift) *boss { return &boss{worker: newWorker(s, "Boss", s.world.token)} }

// live is the page of the lobby, and what the supervisor does in chats.
func (b *boss) live(ctx context.Context) {
	var looking sync.WaitGroup
	defer b.running.Wait()
	defer looking.Wait()
	looking.Go(func() {
		for ctx.Err() == nil {
			pause := 300*time.Millisecond + rand.N(500*time.Millisecond)
			if b.closing.Load() {
				pause = 50 * time.Millisecond
			}
			wait(ctx, pause)
			if v, ok := b.any(); ok && (b.shift.working.Load() || b.closing.Load()) {
				b.look(ctx, v)
			}
		}
	})
	for ctx.Err() == nil {
		_ = b.shift.call(ctx, caller{
			addr: b.shift.pickLobby(), path: "/users", role: "Support", token: b.token,
			begin: func() string {
				return encode("Load", map[string]any{"batch": true, "features": []string{"chats", "agents"}})
			},
			receive: func(f told) error { return b.receive(ctx, f) },
			tick:    func(send) error { return nil },
		})
		wait(ctx, 50*time.Millisecond+rand.N(200*time.Millisecond))
	}
}

func (b *boss) receive(ctx context.Context, f told) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch f.Type {
	case "PendingUsers":
		b.chats = map[string]visitor{}
	case "Chat":
		b.chats[f.Args.ChatID] = visitor{UserID: f.Args.UserID, Username: f.Args.Username, ChatID: f.Args.ChatID}
		return nil
	case "ChatGone":
		delete(b.chats, f.Args.ChatID)
		return nil
	}
	return b.worker.receive(ctx, f)
}

// any is one of the chats.
func (b *boss) any() (v visitor, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range b.chats { // in no order
		return v, true
	}
	return v, false
}

func (b *boss) shows() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.chats)
}

// look looks on for a while.
func (b *boss) look(ctx context.Context, v visitor) {
	s := b.shift
	one := s.view(s.visitOf(v), "the supervisor", "Observer", func(string) int { return 1 })
	does := []string{"note", "over", "over", "end"}[b.looks%4]
	b.looks++
	if b.closing.Load() {
		does = "end"
	}
	begun, noted, left := time.Now(), false, false
	at := begun.Add(rand.N(700 * time.Millisecond))
	_ = s.call(ctx, caller{
		addr: s.pick(""), path: "/chat/" + v.ChatID, role: "Observer", token: b.token,
		begin: func() string {
			return encode("Join", map[string]any{"userId": v.UserID, "from": "Observer", "supportUserName": "Boss", "features": []string{"messageId", "transfer", "close", "notes"}})
		},
		receive: func(f told) error {
			one.take(f)
			switch f.Type {
			case "SupportLeft":
				left = true
			case "ChatClosed", "ChatExpired":
				return errSeen
			case "Error":
				if code := f.Args.Code; code != "unavailable" && code != "bad_request" && code != "chat_closed" {
					s.fail("%s: the supervisor was refused: %s", v.ChatID, f.text)
				}
				return errSeen
			case "SupportJoinedUser", "ChatHistory", "ChatMessage", "Note":
			default:
				s.fail("%s: the supervisor was told %s", v.ChatID, f.text)
			}
			return nil
		},
		tick: func(send send) error {
			now := time.Now()
			switch {
			case does == "over" && left:
				b.worker.mu.Lock()
				b.take(ctx, v)
				b.worker.mu.Unlock()
				return errSeen
			case now.Sub(begun) > 3*time.Second:
				return errSeen
			case now.Before(at):
				return nil
			case !noted:
				noted = true
				s.count(&s.sum.noted)
				return send("Note", map[string]any{"content": canary})
			}
			at = now.Add(time.Second)
			switch does {
			case "over":
				s.count(&s.sum.overs)
				return send("Transfer", map[string]any{"to": "queue", "note": canary + ", mine now"})
			case "end":
				s.count(&s.sum.ended)
				return send("CloseChat", map[string]any{})
			}
			return nil
		},
	})
	one.end()
}
