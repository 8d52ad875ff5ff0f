package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/broker"
	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
	"livesupport/chat/log"
	"livesupport/lobby"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// lossy is a broker in memory that loses, doubles and reorders payloads, as
// bad as the contract of broker.Broker allows and then some: rooms must get
// over it by what they find in the log.
type lossy struct {
	mu        sync.Mutex
	random    *rand.Rand
	handlers  map[string][]*lossySubscription
	listeners map[*lossyListener]struct{}
	held      [][2]any // payloads that come later: subscription, payload
	down      bool     // takes nothing
	stalled   bool     // takes nothing, and does not say so
	reliable  bool     // does none of that
}

type lossySubscription struct {
	broker  *lossy
	topic   string
	mu      sync.Mutex
	handler broker.Handler // nil when closed
}

func newLossy(seed int64) *lossy {
	return &lossy{random: rand.New(rand.NewSource(seed)), handlers: map[string][]*lossySubscription{}, listeners: map[*lossyListener]struct{}{}}
}

func (l *lossy) Publish(ctx context.Context, topic string, payload []byte) error {
	l.mu.Lock()
	down, stalled := l.down, l.stalled
	if down || stalled {
		l.mu.Unlock()
		if stalled {
			<-ctx.Done()
		}
		return errors.New("down")
	}
	var now [][2]any
	for _, s := range l.handlers[topic] {
		luck := l.random.Intn(5)
		if l.reliable {
			luck = 4
		}
		switch luck {
		case 0: // lost
		case 1: // twice
			now = append(now, [2]any{s, payload}, [2]any{s, payload})
		case 2: // later
			l.held = append(l.held, [2]any{s, payload})
		default:
			now = append(now, [2]any{s, payload})
		}
	}
	if len(l.held) > 3 {
		now = append(now, l.held...)
		l.held = nil
	}
	l.mu.Unlock()
	for _, d := range now {
		d[0].(*lossySubscription).call(func(h broker.Handler) { h.Message(slices.Clone(d[1].([]byte))) })
	}
	return nil
}

func (l *lossy) Subscribe(_ context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	s := &lossySubscription{broker: l, topic: topic, handler: h}
	l.mu.Lock()
	if l.down {
		l.mu.Unlock()
		return nil, errors.New("down")
	}
	l.handlers[topic] = append(l.handlers[topic], s)
	l.mu.Unlock()
	return s, nil
}

// Signal loses one of five.
func (l *lossy) Signal(topic string, payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down || l.stalled {
		return errors.New("down")
	}
	for s := range l.listeners {
		if s.topic != topic || !l.reliable && l.random.Intn(5) == 0 {
			continue
		}
		select {
		case s.signals <- slices.Clone(payload):
		default:
		}
	}
	return nil
}

func (l *lossy) Listen(topic string, f func([]byte), stands func()) broker.Subscription {
	s := &lossyListener{broker: l, topic: topic, signals: make(chan []byte, 64)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listeners[s] = struct{}{}
	go func() {
		if stands != nil {
			stands()
		}
		for payload := range s.signals {
			f(payload)
		}
	}()
	return s
}

// lossyListener ends its goroutine when it is closed.
type lossyListener struct {
	broker  *lossy
	topic   string
	signals chan []byte
}

func (s *lossyListener) Close() {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if _, open := s.broker.listeners[s]; open {
		delete(s.broker.listeners, s)
		close(s.signals)
	}
}

func (s *lossySubscription) call(f func(broker.Handler)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handler != nil {
		f(s.handler)
	}
}

func (s *lossySubscription) Close() {
	s.broker.mu.Lock()
	s.broker.handlers[s.topic] = slices.DeleteFunc(s.broker.handlers[s.topic], func(o *lossySubscription) bool { return o == s })
	s.broker.mu.Unlock()
	go s.call(func(broker.Handler) { s.handler = nil })
}

func (l *lossy) set(change func(*lossy)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *lossy) Ready() error { return nil }
func (l *lossy) Close() error { return nil }

// gap tells every subscriber that something may be missing, as it is.
func (l *lossy) gap() {
	l.mu.Lock()
	var all []*lossySubscription
	for _, list := range l.handlers {
		all = append(all, list...)
	}
	l.mu.Unlock()
	for _, s := range all {
		s.call(broker.Handler.Gap)
	}
}

// deployment is some chat servers on one store and one broker.
type deployment struct {
	t        testing.TB
	store    *brokertest.Proxy // in front of the one store
	client   redis.UniversalClient
	broker   *lossy
	services []*Service
}

func deploy(t testing.TB, servers int, ttl time.Duration, seed int64, tune ...func(*Config)) *deployment {
	t.Helper()
	store := brokertest.StartEmbeddedRedis(t)
	d := &deployment{
		t:      t,
		store:  brokertest.StartProxy(t, strings.TrimPrefix(store.URL(), "redis://")),
		broker: newLossy(seed),
	}
	logger := slog.New(slog.DiscardHandler)
	for range servers {
		db, err := redisdb.Open("redis://"+d.store.Addr(), logger)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		d.client = db.Client()
		queue := lobby.NewQueue(lobby.QueueConfig{
			DB: db, Broker: d.broker, ChatTTL: ttl, ClaimTTL: time.Second, LeaveGrace: time.Second, Log: logger,
		})
		t.Cleanup(func() { queue.Close() })
		cfg := Config{
			DB: db, Broker: d.broker, Queue: queue, TTL: ttl, MessageBurst: 1, MaxMessages: log.MaxMessages, JoinTimeout: time.Minute,
			Frame: func(b []byte) []byte { return append(bytes.Clone(b), '\n') },
			Log:   logger, Metrics: prometheus.NewRegistry(),
		}
		for _, change := range tune {
			change(&cfg)
		}
		s := New(cfg)
		t.Cleanup(func() { s.Close() })
		d.services = append(d.services, s)
	}
	return d
}

func (d *deployment) register() lobby.User {
	d.t.Helper()
	u, err := d.services[0].Register(d.t.Context(), Registration{Name: "Nika"})
	if err != nil {
		d.t.Fatal(err)
	}
	return u
}

// peer is a client that keeps what it gets.
type peer struct {
	session *Session
	mu      sync.Mutex
	got     []string
	code    int
}

func (p *peer) Queue(frames []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, strings.Split(strings.TrimSuffix(string(frames), "\n"), "\n")...)
}

func (p *peer) Flush() {}

func (p *peer) Heartbeat(time.Duration) {}

func (p *peer) Close(code int, _ string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.code = code
}

func (p *peer) frames(prefix string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, f := range p.got {
		if strings.HasPrefix(f, prefix) {
			out = append(out, f)
		}
	}
	return out
}

func (p *peer) messages() []string { return p.frames(`{"type":"ChatMessage"`) }

func (s *Service) connect(chatID string) *peer {
	p := &peer{}
	p.session = s.Connect(chatID, p, nil)
	return p
}

// send does what sockets do with a frame.
func (p *peer) send(format string, args ...any) {
	if frame := fmt.Appendf(nil, format, args...); !p.session.ReceiveNow(frame) {
		p.session.Receive(frame, time.Now())
	}
}

func (p *peer) joinUser(u lobby.User) *peer {
	p.send(`{"type":"Join","args":{"userId":%q,"from":"User"}}`, u.UserID)
	return p
}

func (p *peer) joinSupport(u lobby.User, supportID string) *peer {
	p.send(`{"type":"Join","args":{"userId":%q,"from":"Support","supportUserName":"Vika","supportId":%q}}`, u.UserID, supportID)
	return p
}

func (p *peer) say(from log.Role, content string) {
	p.send(`{"type":"ChatMessage","args":{"from":%q,"content":%q}}`, from, content)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// TestServersAgree lets both sides write on three servers at once, through a
// broker that loses, doubles and reorders: every socket gets every message once,
// all in one order, which is the history's.
func TestServersAgree(t *testing.T) {
	for seed := range int64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			d := deploy(t, 3, time.Minute, seed)
			u := d.register()
			users := []*peer{d.services[0].connect(u.ChatID).joinUser(u), d.services[1].connect(u.ChatID).joinUser(u)}
			support := d.services[1].connect(u.ChatID).joinSupport(u, "")
			id := support.session.supportID
			supports := []*peer{support, d.services[2].connect(u.ChatID).joinSupport(u, id)}

			const each = 50
			var senders sync.WaitGroup
			for i, p := range append(users, supports...) {
				from := log.RoleUser
				if i >= len(users) {
					from = log.RoleSupport
				}
				senders.Go(func() {
					for n := range each {
						p.say(from, fmt.Sprintf("%d-%d", i, n))
					}
				})
			}
			senders.Wait()
			d.broker.gap()
			all := append(users, supports...)
			eventually(t, "everybody has all messages", func() bool {
				for _, p := range all {
					if len(p.messages()) < each*len(all) {
						return false
					}
				}
				return true
			})
			late := d.services[0].connect(u.ChatID).joinSupport(u, id)
			history := late.frames(`{"type":"ChatHistory"`)
			if len(history) != 1 {
				t.Fatalf("history: %q", history)
			}
			var lines []string
			for _, m := range users[0].messages() {
				lines = append(lines, strings.TrimSuffix(strings.TrimPrefix(m, `{"type":"ChatMessage","args":`), "}"))
			}
			if want := `{"type":"ChatHistory","args":{"messages":[` + strings.Join(lines, ",") + `]}}`; history[0] != want {
				t.Errorf("the history is not what came live:\n%s\n%s", history[0], want)
			}
			for i, p := range all {
				if got := p.messages(); !slices.Equal(got, users[0].messages()) {
					t.Errorf("peer %d saw another order", i)
				}
				if errors := p.frames(`{"type":"Error"`); len(errors) > 0 {
					t.Errorf("peer %d: %q", i, errors)
				}
			}
		})
	}
}

func TestOneSupportOfMany(t *testing.T) {
	d := deploy(t, 3, time.Minute, 1)
	for range 20 {
		u := d.register()
		user := d.services[0].connect(u.ChatID).joinUser(u)
		supports := make([]*peer, 9)
		var joining sync.WaitGroup
		for i := range supports {
			supports[i] = d.services[i%3].connect(u.ChatID)
			joining.Go(func() { supports[i].joinSupport(u, "") })
		}
		joining.Wait()
		winners := 0
		for _, p := range supports {
			switch joined := p.frames(`{"type":"SupportJoinedUser"`); {
			case len(joined) == 1 && p.code == 0:
				winners++
			case len(p.frames(`{"type":"Error","args":{"code":"already_taken"`)) != 1 || p.code != 1008 || len(joined) != 0:
				t.Errorf("a loser got %q and close %d", p.got, p.code)
			}
		}
		if winners != 1 {
			t.Fatalf("%d winners", winners)
		}
		d.broker.gap()
		eventually(t, "the user learns of the support", func() bool { return len(user.frames(`{"type":"SupportJoinedUser"`)) == 1 })
	}
}

func TestExpiry(t *testing.T) {
	const ttl = 1200 * time.Millisecond // a waiting user is renewed four times in it
	d := deploy(t, 2, ttl, 1)
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	start := time.Now()
	eventually(t, "a waiting user's chat outlives its time to live", func() bool {
		user.mu.Lock()
		defer user.mu.Unlock()
		if user.code != 0 {
			t.Fatalf("closed after %v", time.Since(start))
		}
		return time.Since(start) > 2*ttl
	})
	support := d.services[1].connect(u.ChatID).joinSupport(u, "")
	for _, p := range []*peer{user, support} {
		eventually(t, "closed at expiry", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.code == 1000
		})
		if got := p.frames(`{"type":"ChatExpired"`); len(got) != 1 {
			t.Errorf("got %q", got)
		}
		p.session.Closed()
	}
	eventually(t, "nothing left in the store", func() bool {
		return d.client.DBSize(t.Context()).Val() == 0
	})
	for i, s := range d.services {
		s.mu.Lock()
		if len(s.rooms)+len(s.waiting) != 0 {
			t.Errorf("server %d keeps %d rooms, %d waiting", i, len(s.rooms), len(s.waiting))
		}
		s.mu.Unlock()
	}
}

// TestExpiryOfAReopenedRoom: a room that is opened on a log with messages
// expires like any other.
func TestExpiryOfAReopenedRoom(t *testing.T) {
	d := deploy(t, 1, 300*time.Millisecond, 1)
	u := d.register()
	first := d.services[0].connect(u.ChatID).joinUser(u)
	first.say(log.RoleUser, "anybody there?")
	first.session.Closed()
	if n := len(d.services[0].rooms); n != 0 {
		t.Fatalf("%d rooms without a session", n)
	}
	user := d.services[0].connect(u.ChatID).joinUser(u)
	support := d.services[0].connect(u.ChatID).joinSupport(u, "")
	for _, p := range []*peer{user, support} {
		eventually(t, "closed at expiry", func() bool { return len(p.frames(`{"type":"ChatExpired"`)) == 1 })
	}
}

// TestLeavingDuringARenewal: who leaves while the waiting users are being renewed
// is not taken for present because the renewal comes last.
func TestLeavingDuringARenewal(t *testing.T) {
	d := deploy(t, 1, time.Minute, 1)
	s, u := d.services[0], d.register()
	user := s.connect(u.ChatID).joinUser(u)
	rooms := s.waitingRooms()
	user.session.Closed()
	if err := s.renew(t.Context(), rooms); err != nil {
		t.Fatal(err)
	}
	gone, err := d.client.ZScore(t.Context(), "{lobby}:present", u.ChatID).Result()
	if err != nil {
		t.Fatal(err)
	}
	if stays := time.Until(time.UnixMilli(int64(gone))); stays > 2*time.Second {
		t.Errorf("a user who has left stays for %v, not for the grace time of 1s", stays)
	}
}

func TestSoManySockets(t *testing.T) {
	d := deploy(t, 1, time.Minute, 1)
	u := d.register()
	var peers []*peer
	for range maxSessions {
		peers = append(peers, d.services[0].connect(u.ChatID).joinUser(u))
	}
	more := d.services[0].connect(u.ChatID).joinUser(u)
	if got := more.frames(`{"type":"Error","args":{"code":"chat_full"`); len(got) != 1 || more.code != 1008 {
		t.Errorf("one more got %q and close %d", more.got, more.code)
	}
	more.session.Closed()
	peers[3].session.Closed()
	if again := d.services[0].connect(u.ChatID).joinUser(u); len(again.frames(`{"type":"UserJoined"`)) != 1 {
		t.Errorf("in place of one that left: %q", again.got)
	}
}

func TestJunkOnTheTopic(t *testing.T) {
	d := deploy(t, 1, time.Minute, 3)
	u := d.register()
	user := d.services[0].connect(u.ChatID).joinUser(u)
	user.say(log.RoleUser, "one")
	for _, junk := range []string{"", "junk", "9", "1 {}", "2 {\"kind\":\"message\"}", "99 {\"kind\":\"message\",\"from\":\"User\",\"content\":\"forged\",\"id\":\"x\"}"} {
		for range 5 {
			if err := d.broker.Publish(t.Context(), topic(u.ChatID), []byte(junk)); err != nil {
				t.Fatal(err)
			}
		}
	}
	user.say(log.RoleUser, "two")
	eventually(t, "both messages, nothing else", func() bool { return len(user.messages()) == 2 })
	if late := d.services[0].connect(u.ChatID).joinUser(u); strings.Contains(strings.Join(late.got, ""), "forged") {
		t.Error("junk has come into the history")
	}
}

func TestOverdue(t *testing.T) {
	d := deploy(t, 1, time.Minute, 1)
	u := d.register()
	p := d.services[0].connect(u.ChatID)
	late := time.Now().Add(time.Minute + time.Second)
	if !p.session.Overdue(late) || p.session.Overdue(time.Now()) {
		t.Error("a session that has not joined is overdue after 60 s, and not before")
	}
	p.send(`{"type":"Join","args":{"userId":"nobody","from":"User"}}`)
	if !p.session.Overdue(late) {
		t.Error("a Join that failed counts")
	}
	if p.joinUser(u); p.session.Overdue(late) {
		t.Error("a session that has joined is overdue")
	}
}
