package lobby

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"livesupport/broker"
)

// awayBroker takes publications once it is back.
type awayBroker struct {
	mu   sync.Mutex
	back bool
	got  []string
}

func (b *awayBroker) Publish(_ context.Context, _ string, payload []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.back {
		return errors.New("away")
	}
	b.got = append(b.got, string(payload))
	return nil
}

func (b *awayBroker) Subscribe(context.Context, string, broker.Handler) (broker.Subscription, error) {
	return nil, errors.New("away")
}
func (b *awayBroker) Signal(string, []byte) error                             { return errors.New("away") }
func (b *awayBroker) Listen(string, func([]byte), func()) broker.Subscription { return nothing{} }
func (b *awayBroker) Ready() error                                            { return errors.New("away") }
func (b *awayBroker) Close() error                                            { return nil }

// TestAnnouncementsWaitForTheBroker up to the bound, in order. Nobody waits for those beyond it.
func TestAnnouncementsWaitForTheBroker(t *testing.T) {
	b := &awayBroker{}
	a := newAnnouncer(b, slog.New(slog.DiscardHandler))
	defer a.close()
	const surplus = 10
	refused := 0
	for i := range announceBound + 1 + surplus { // one is under way
		taken := a.announce(fmt.Append(nil, i))
		if i == 0 {
			for len(a.events) > 0 {
				time.Sleep(time.Millisecond) // until it is under way
			}
		}
		if taken == nil {
			refused++
		}
		a.await(t.Context(), taken) // at once: the broker is away
	}
	if refused != surplus {
		t.Errorf("%d of %d were refused", refused, surplus)
	}
	b.mu.Lock()
	b.back = true
	b.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		got := b.got
		b.mu.Unlock()
		if len(got) == announceBound+1 {
			for i, event := range got {
				if event != fmt.Sprint(i) {
					t.Fatalf("event %d is %s", i, event)
				}
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d announced", len(got), announceBound+1)
		}
	}
}

// TestAnnouncedByTheStore: if the broker is the store itself, the step that causes an event also
// publishes it.
func TestAnnouncedByTheStore(t *testing.T) {
	b := &awayBroker{back: true}
	d := deploy(t, b, 0, QueueConfig{ChatTTL: time.Minute, ClaimTTL: 50 * time.Millisecond, LeaveGrace: time.Second, BrokerInStore: true})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	events := d.db.Client().Subscribe(ctx, Topic)
	t.Cleanup(func() { events.Close() })
	if _, err := events.Receive(ctx); err != nil { // it stands
		t.Fatal(err)
	}
	u := user(1)
	u.Verified = true // which nothing on the topic tells
	joined := event{Kind: kindUserJoined, User: u}.payload(plain)
	removed := event{Kind: kindRemoveUser, User: User{UserID: u.UserID}}.payload(plain)
	next := func(what string, want []byte) {
		t.Helper()
		if m, err := events.ReceiveMessage(ctx); err != nil || m.Payload != string(want) {
			t.Fatalf("%s: %v, %v, want %s", what, m, err, want)
		}
	}
	for range 2 { // the second changes nothing
		if err := d.queue.Add(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	next("added", joined)
	if won, _, err := d.queue.Claim(ctx, u.ChatID, u.UserID, "Vika"); err != nil || !won {
		t.Fatal(won, err)
	}
	next("claimed", removed)
	for ; ; time.Sleep(5 * time.Millisecond) {
		if c, err := d.queue.since(ctx, "", 0, newsWanted{}); err != nil {
			t.Fatal("the claim does not run out", err)
		} else if c.visible == 1 {
			break
		}
	}
	next("the claim has run out", joined)
	if err := d.queue.Remove(ctx, u.ChatID); err != nil {
		t.Fatal(err)
	}
	next("removed", removed)
	d.queue.Close()
	if len(b.got) != 0 {
		t.Errorf("announced a second time: %q", b.got)
	}
}
