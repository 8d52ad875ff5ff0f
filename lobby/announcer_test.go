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
func (b *awayBroker) Ready() error { return errors.New("away") }
func (b *awayBroker) Close() error { return nil }

// TestAnnouncementsWaitForTheBroker up to the bound, in order; nobody waits for
// those beyond it.
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
