package lobby

import (
	"context"
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
	"livesupport/lobby/wire"
)

// silent is a broker that delivers nothing, so lobbies must find everything in the queue's log.
type silent struct{}

func (silent) Publish(context.Context, string, []byte) error { return nil }
func (silent) Subscribe(context.Context, string, broker.Handler) (broker.Subscription, error) {
	return nothing{}, nil
}
func (silent) Signal(string, []byte) error                             { return nil }
func (silent) Listen(string, func([]byte), func()) broker.Subscription { return nothing{} }
func (silent) Ready() error                                            { return nil }
func (silent) Close() error                                            { return nil }

type nothing struct{}

func (nothing) Close() {}

type deployment struct {
	t       *testing.T
	db      *redisdb.DB
	queue   *Queue
	lobbies []*Lobby
}

func deploy(t *testing.T, b broker.Broker, lobbies int, cfg QueueConfig) *deployment {
	t.Helper()
	store := brokertest.StartEmbeddedRedis(t)
	log := slog.New(slog.DiscardHandler)
	db, err := redisdb.Open(store.URL(), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	cfg.DB, cfg.Broker, cfg.Log = db, b, log
	d := &deployment{t: t, db: db, queue: NewQueue(cfg)}
	t.Cleanup(func() { d.queue.Close() })
	for range lobbies {
		l := New(Config{Queue: d.queue, Broker: b, Frame: func(p []byte) []byte { return append(p, '\n') }, Log: log})
		t.Cleanup(func() { l.Close() })
		d.lobbies = append(d.lobbies, l)
	}
	return d
}

// view is an agent's page: it keeps the list of users as the frames tell it to,
// and notes what no page should be told.
type view struct {
	agent  *Agent
	mu     sync.Mutex
	users  []string
	faults []string
	errors int
}

func (v *view) Queue(frames []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for frame := range strings.Lines(string(frames)) {
		kind, args, _ := wire.Decode([]byte(frame))
		var u User
		if kind != "" {
			wire.DecodeArgs(args, &u)
		} else {
			wire.DecodeArgs([]byte(frame), &u) // of a snapshot
		}
		at := slices.Index(v.users, u.UserID)
		switch {
		case kind == "Error":
			v.errors++
		case kind == kindRemoveUser && at >= 0:
			v.users = slices.Delete(v.users, at, at+1)
		case kind != kindRemoveUser && at < 0:
			v.users = append(v.users, u.UserID)
		default:
			v.faults = append(v.faults, strings.TrimSpace(frame))
		}
	}
}

func (v *view) Flush()                  {}
func (v *view) Heartbeat(time.Duration) {}
func (v *view) Close(int, string)       {}

func (v *view) list() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.users)
}

func (l *Lobby) open() *view {
	v := &view{}
	v.agent = l.Connect(v, nil)
	v.agent.Receive([]byte(`{"type":"Load"}`), time.Now())
	return v
}

func user(n int) User {
	return User{Username: fmt.Sprint("user ", n), UserID: fmt.Sprintf("%032x", n), ChatID: fmt.Sprintf("%032x", 1<<32+n)}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// TestEveryKeyExpires: whatever was done last, nothing stays in the store if every server dies
// then.
func TestEveryKeyExpires(t *testing.T) {
	d := deploy(t, silent{}, 0, QueueConfig{ChatTTL: time.Minute, ClaimTTL: time.Minute, LeaveGrace: time.Millisecond})
	random := rand.New(rand.NewSource(1))
	operations := []func(User) error{
		func(u User) error { return d.queue.Add(t.Context(), u) },
		func(u User) error { return d.queue.Remove(t.Context(), u.ChatID) },
		func(u User) error { return d.queue.Leave(t.Context(), u.ChatID) },
		func(u User) error {
			_, _, err := d.queue.Claim(t.Context(), u.ChatID, u.UserID, "somebody")
			return err
		},
		func(u User) error { _, err := d.queue.Renew(t.Context(), []string{u.ChatID}); return err },
		func(User) error { _, err := d.queue.since(t.Context(), "", 0, newsWanted{}); return err },
		func(u User) error {
			u.Team = "billing"
			return d.queue.Taken(t.Context(), Held{User: u, SupportID: "s", Agent: "vika"})
		},
		func(u User) error {
			return d.queue.Release(t.Context(), u, Offered{Agent: []string{"", "vika"}[random.Intn(2)]})
		},
		func(u User) error { _, err := d.queue.TakeBack(t.Context(), u.ChatID, "s"); return err },
		func(u User) error {
			_, err := d.queue.Hold(t.Context(), []Held{{User: u, SupportID: "s", Agent: "vika"}})
			return err
		},
		func(u User) error { return d.queue.Drop(t.Context(), u.ChatID) },
		func(u User) error { return d.queue.Decline(t.Context(), u.ChatID, u.UserID, "vika") },
		func(User) error {
			_, err := d.queue.desk(t.Context(), serverOf("vika"), random.Intn(2) == 0, []seat{{agent: "vika", seatNews: seatNews{since: 1, shows: true}}})
			return err
		},
		func(User) error { return d.queue.closeDesk(t.Context(), serverOf("vika")) },
		func(User) error { _, _, err := d.queue.overview(t.Context()); return err },
		func(u User) error {
			u.Messages = random.Intn(100)
			return d.queue.Change(t.Context(), []User{u})
		},
		func(u User) error { _, err := d.queue.Stand(t.Context(), []string{u.ChatID}); return err },
	}
	var done []int
	for range 1200 {
		n := random.Intn(len(operations))
		done = append(done, n)
		if err := operations[n](user(random.Intn(3))); err != nil {
			t.Fatal(err)
		}
		for _, key := range queueKeys {
			if left, err := d.db.Client().PTTL(t.Context(), key).Result(); err != nil || left == -1 {
				t.Fatalf("%s has no time to live after the operations %v (%v)", key, done, err)
			}
		}
	}
}

// TestViewsAgree changes the queue from many sides at once, without a broker. No agent is told of a
// user twice, or of the removal of a user whom they do not have. In the end every page shows the
// queue.
func TestViewsAgree(t *testing.T) {
	d := deploy(t, silent{}, 3, QueueConfig{ChatTTL: time.Minute, ClaimTTL: 200 * time.Millisecond, LeaveGrace: 200 * time.Millisecond})
	var views []*view
	var mu sync.Mutex
	var work sync.WaitGroup
	for worker := range 6 {
		random := rand.New(rand.NewSource(int64(worker)))
		work.Go(func() {
			for range 150 {
				u := user(random.Intn(30))
				var err error
				switch random.Intn(7) {
				case 0, 1, 2:
					err = d.queue.Add(t.Context(), u)
				case 3:
					err = d.queue.Remove(t.Context(), u.ChatID)
				case 4:
					err = d.queue.Leave(t.Context(), u.ChatID)
				case 5:
					_, _, err = d.queue.Claim(t.Context(), u.ChatID, u.UserID, "somebody")
				case 6:
					v := d.lobbies[random.Intn(3)].open()
					mu.Lock()
					views = append(views, v)
					mu.Unlock()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	for n := range 30 { // so that nothing changes by time any more
		if err := d.queue.Remove(t.Context(), user(n).ChatID); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for n := 40; n > 30; n-- {
		if err := d.queue.Add(t.Context(), user(n)); err != nil {
			t.Fatal(err)
		}
		want = append(want, user(n).UserID)
	}
	if len(views) < 10 {
		t.Fatalf("only %d views", len(views))
	}
	for i, v := range views {
		eventually(t, "every page shows the queue", func() bool { return slices.Equal(v.list(), want) })
		if len(v.faults) > 0 {
			t.Errorf("view %d was told %q", i, v.faults)
		}
	}
}

// TestStoreForgets: when the store has lost the queue, pages become empty, and
// users who are added again appear.
func TestStoreForgets(t *testing.T) {
	d := deploy(t, silent{}, 1, QueueConfig{ChatTTL: time.Minute, ClaimTTL: time.Second, LeaveGrace: time.Second})
	for n := range 3 {
		if err := d.queue.Add(t.Context(), user(n)); err != nil {
			t.Fatal(err)
		}
	}
	v := d.lobbies[0].open()
	if len(v.list()) != 3 {
		t.Fatalf("snapshot: %q", v.list())
	}
	if err := d.db.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	missing, err := d.queue.Renew(t.Context(), []string{user(1).ChatID})
	if err != nil || !slices.Equal(missing, []string{user(1).ChatID}) {
		t.Fatalf("missing: %q, %v", missing, err)
	}
	if err := d.queue.Add(t.Context(), user(1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page shows the new queue", func() bool { return slices.Equal(v.list(), []string{user(1).UserID}) })
	if len(v.faults) > 0 {
		t.Errorf("told %q", v.faults)
	}
}

// TestTimeStandsStill: users whose chat servers could not reach the store for long are still there
// when it is back. Those who do not renew then leave.
func TestTimeStandsStill(t *testing.T) {
	d := deploy(t, silent{}, 0, QueueConfig{ChatTTL: time.Minute, ClaimTTL: time.Second, LeaveGrace: time.Second})
	if err := d.queue.Add(t.Context(), user(1)); err != nil {
		t.Fatal(err)
	}
	present := queueKeys[2]
	lapse := func(away time.Duration) {
		t.Helper()
		// As after an outage of that length: everything in the store is older.
		past := float64(time.Now().Add(-time.Second).UnixMilli())
		c := d.db.Client()
		if err := c.ZIncrBy(t.Context(), present, past-c.ZScore(t.Context(), present, user(1).ChatID).Val(), user(1).ChatID).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.HSet(t.Context(), queueKeys[6], "seen", time.Now().Add(-away).UnixMilli()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	lapse(30 * time.Second)
	if c, err := d.queue.since(t.Context(), "", 0, newsWanted{}); err != nil || c.visible != 1 {
		t.Fatalf("after an outage: %d users, %v", c.visible, err)
	}
	lapse(time.Second)
	if c, err := d.queue.since(t.Context(), "", 0, newsWanted{}); err != nil || c.visible != 0 {
		t.Fatalf("gone without an outage: %d users, %v", c.visible, err)
	}
}

func TestPicture(t *testing.T) {
	p := newPicture(webFrame)
	random := rand.New(rand.NewSource(1))
	places := map[int]int64{}
	for step := range 5000 {
		n := random.Intn(100)
		if _, there := places[n]; there {
			if removed := p.remove(user(n).UserID); removed == nil || removed.User != user(n) {
				t.Fatalf("removed %v", removed)
			}
			delete(places, n)
		} else {
			places[n] = int64(random.Intn(1 << 30))
			if !p.add(user(n), places[n], int64(step)) || p.add(user(n), 1, 1) {
				t.Fatal("added wrongly")
			}
		}
		if p.len() != len(places) || !slices.IsSortedFunc(p.order, func(a, b *pendingUser) int { return int(a.place - b.place) }) {
			t.Fatalf("step %d: %d users, want %d in order", step, p.len(), len(places))
		}
	}
	if p.remove("unknown") != nil {
		t.Error("removed somebody unknown")
	}
}

func TestRecent(t *testing.T) {
	now := time.Now()
	r := newRecent()
	r.add([]byte("a"), now)
	if !r.has([]byte("a")) || r.has([]byte("b")) {
		t.Error("does not know what was added")
	}
	r.add([]byte("b"), now.Add(recentSpan+1))
	if !r.has([]byte("a")) || !r.has([]byte("b")) {
		t.Error("forgets too early")
	}
	r.add([]byte("c"), now.Add(2*recentSpan+2))
	if r.has([]byte("a")) || !r.has([]byte("b")) || !r.has([]byte("c")) {
		t.Error("forgets too late, or too much")
	}
	for i := range 3 * recentSize {
		r.add(fmt.Append(nil, i), now.Add(2*recentSpan+2))
	}
	if n := len(r.new) + len(r.old); n > 2*recentSize {
		t.Errorf("keeps %d", n)
	}
}
