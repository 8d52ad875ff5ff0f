package lobby

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
	"livesupport/lobby/wire"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// onEachStore runs a test of the script on the Redis in process and on a real one.
func onEachStore(t *testing.T, cfg QueueConfig, run func(t *testing.T, q *Queue, store redis.UniversalClient)) {
	for name, open := range map[string]func(t *testing.T) string{
		"in process":   func(t *testing.T) string { return brokertest.StartEmbeddedRedis(t).URL() },
		"redis-server": func(t *testing.T) string { return brokertest.StartRedisServer(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, db := queueAt(t, open(t), cfg)
			run(t, q, db.Client())
		})
	}
}

func queueAt(t testing.TB, url string, cfg QueueConfig) (*Queue, *redisdb.DB) {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	db, err := redisdb.Open(url, cfg.Log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	cfg.DB, cfg.Broker = db, silent{}
	q := NewQueue(cfg)
	t.Cleanup(func() { q.Close() })
	return q, db
}

var slow = QueueConfig{ChatTTL: time.Minute, ClaimTTL: time.Minute, LeaveGrace: time.Minute}

// told is a user with something in every field.
func told(n, messages int) User {
	u := user(n)
	u.Verified, u.Team, u.Details = true, "billing", `{"page":"https://shop.example/","fields":{"a b":"\"c\""}}`
	u.Message, u.Messages = fmt.Sprint("message ", messages, " \u2028"), messages
	return u
}

// withoutSince takes out what the queue has added, and checks it.
func withoutSince(t *testing.T, u User) User {
	t.Helper()
	if age := time.Since(time.UnixMicro(u.Since)); age < -time.Second || age > time.Minute {
		t.Errorf("%s waits since %v", u.Username, time.UnixMicro(u.Since))
	}
	u.Since = 0
	return u
}

func changes(t *testing.T, q *Queue, epoch string, version int64) (change, []event) {
	t.Helper()
	c, err := q.since(t.Context(), epoch, version, newsWanted{})
	if err != nil {
		t.Fatal(err)
	}
	var events []event
	if c.all { // then the log comes without records
		return c, nil
	}
	for _, logged := range c.events {
		e, ok := decodeLogged(logged)
		if !ok {
			t.Fatalf("in the log: %s with %s", logged.payload, logged.record)
		}
		events = append(events, e)
	}
	return c, events
}

// TestRecord: a queue keeps all that is known of a user, tells it in the log and in the snapshot,
// and publishes three fields.
func TestRecord(t *testing.T) {
	onEachStore(t, slow, func(t *testing.T, q *Queue, store redis.UniversalClient) {
		ctx := t.Context()
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		check(q.Add(ctx, user(9))) // so that the log reaches back
		c, _ := changes(t, q, "", 0)
		check(q.Add(ctx, told(1, 2)))
		check(q.Add(ctx, told(1, 7))) // from another server: no change
		c, events := changes(t, q, c.epoch, c.version)
		if len(events) != 1 || events[0].Kind != kindUserJoined || withoutSince(t, events[0].User) != told(1, 2) {
			t.Fatalf("told %+v", events)
		}
		since := events[0].Since
		if want := string(event{kindUserJoined, user(1)}.payload(plain)); string(c.events[0].payload) != want {
			t.Errorf("published %s", c.events[0].payload)
		}

		// The newest counts, by its number, whatever comes last.
		check(q.Change(ctx, []User{told(1, 4), user(2), told(1, 3), told(1, 4)}))
		c, events = changes(t, q, c.epoch, c.version)
		if len(events) != 1 || events[0].Kind != kindUserChanged || events[0].Since != since || withoutSince(t, events[0].User) != told(1, 4) {
			t.Fatalf("told %+v", events)
		}

		// A claimed user changes silently, and comes back with the change.
		if won, _, err := q.Claim(ctx, told(1, 0).ChatID, told(1, 0).UserID, "somebody"); err != nil || !won {
			t.Fatal(won, err)
		}
		check(q.Change(ctx, []User{told(1, 5)}))
		if err := store.ZAdd(ctx, queueKeys[3], redis.Z{Score: 1, Member: told(1, 0).ChatID}).Err(); err != nil {
			t.Fatal(err)
		}
		c, events = changes(t, q, c.epoch, c.version)
		if len(events) != 2 || events[0].Kind != kindRemoveUser || events[1].Kind != kindUserJoined ||
			events[1].Since != since || withoutSince(t, events[1].User) != told(1, 5) {
			t.Fatalf("told %+v", events)
		}
		whole, _ := changes(t, q, "other", 0)
		if len(whole.pending) != 2 {
			t.Fatalf("the queue has %d users", len(whole.pending))
		}
		if u, ok := parseRecord(whole.pending[1].payload); !ok || u.Since != since || withoutSince(t, u) != told(1, 5) {
			t.Errorf("in the snapshot: %+v", u)
		}

		// A user who is gone leaves nothing behind.
		check(q.Remove(ctx, told(1, 0).ChatID))
		check(q.Change(ctx, []User{told(1, 6)}))
		check(q.Remove(ctx, user(9).ChatID))
		_, events = changes(t, q, c.epoch, c.version)
		if len(events) != 2 || events[0].Kind != kindRemoveUser || events[1].Kind != kindRemoveUser {
			t.Errorf("told %+v", events)
		}
		if n := store.HLen(ctx, queueKeys[7]).Val(); n != 0 {
			t.Errorf("%d records are left", n)
		}
	})
}

// TestFormerServers: a server that knows no records has added users. They are shown with what that
// server has told, for as long as such a server runs.
func TestFormerServers(t *testing.T) {
	onEachStore(t, slow, func(t *testing.T, q *Queue, store redis.UniversalClient) {
		ctx := t.Context()
		if err := q.Add(ctx, user(9)); err != nil {
			t.Fatal(err)
		}
		c, _ := changes(t, q, "", 0)
		// As it would: the JSON with who is verified at its end, and no record.
		former := user(1)
		former.Verified = true
		stored := `{"username":"user 1","userId":"` + former.UserID + `","chatId":"` + former.ChatID + `","verified":true}`
		place := store.HIncrBy(ctx, queueKeys[6], "place", 1).Val()
		for _, err := range []error{
			store.HSet(ctx, queueKeys[0], former.ChatID, former.UserID+stored).Err(),
			store.ZAdd(ctx, queueKeys[1], redis.Z{Score: float64(place), Member: former.ChatID}).Err(),
			store.ZAdd(ctx, queueKeys[2], redis.Z{Score: float64(time.Now().Add(time.Minute).UnixMilli()), Member: former.ChatID}).Err(),
			store.RPush(ctx, queueKeys[5], fmt.Sprint(time.Now().UnixMilli(), " ", place, ` {"type":"UserJoined","args":`, stored, `}`)).Err(),
			store.HIncrBy(ctx, queueKeys[6], "version", 1).Err(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		_, events := changes(t, q, c.epoch, c.version)
		if len(events) != 1 || events[0].User != former || string(events[0].payload(verified)) != `{"type":"UserJoined","args":`+stored+`}` {
			t.Fatalf("told %+v", events)
		}
		whole, _ := changes(t, q, "other", 0)
		if u, ok := parseRecord(whole.pending[1].payload); !ok || u != former {
			t.Errorf("in the snapshot: %+v", u)
		}
		// A new server's Add of the same user, who has come back there, adds what it knows.
		if err := q.Add(ctx, told(1, 3)); err != nil {
			t.Fatal(err)
		}
		whole, _ = changes(t, q, "other", 0)
		if u, ok := parseRecord(whole.pending[1].payload); !ok || withoutSince(t, u) != told(1, 3) {
			t.Errorf("with a record: %+v", u)
		}
		if won, _, err := q.Claim(ctx, former.ChatID, former.UserID, "somebody"); err != nil || !won {
			t.Error(won, err)
		}
	})
}

// TestStand compares the positions that the script returns with a plain model.
func TestStand(t *testing.T) {
	onEachStore(t, slow, func(t *testing.T, q *Queue, _ redis.UniversalClient) {
		random := rand.New(rand.NewSource(1))
		var order []int // who waits
		claimed := map[int]bool{}
		ids := make([]string, 40)
		for n := range ids {
			ids[n] = user(n).ChatID
		}
		for range 300 {
			n := random.Intn(len(ids))
			at := slices.Index(order, n)
			var err error
			switch random.Intn(4) {
			case 0, 1:
				if err = q.Add(t.Context(), user(n)); at < 0 {
					order = append(order, n)
				}
			case 2:
				if _, _, err = q.Claim(t.Context(), user(n).ChatID, user(n).UserID, "a"); at >= 0 {
					claimed[n] = true
				}
			case 3:
				if err = q.Taken(t.Context(), Held{User: user(n)}); at >= 0 {
					order = slices.Delete(order, at, at+1)
					delete(claimed, n)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Repeat([]int{-1}, len(ids))
			next := 0
			for _, n := range order {
				if want[n] = 0; !claimed[n] {
					next++
					want[n] = next
				}
			}
			got, err := q.Stand(t.Context(), ids)
			if err != nil || got.Waiting != next || !slices.Equal(got.Positions, want) {
				t.Fatalf("%d wait at %v, want %d at %v (%v)", got.Waiting, got.Positions, next, want, err)
			}
		}
	})
}

// TestTakes: a take counts once, and only for a user who was there. Three or more give an interval,
// until they are too old.
func TestTakes(t *testing.T) {
	onEachStore(t, slow, func(t *testing.T, q *Queue, store redis.UniversalClient) {
		ctx := t.Context()
		interval := func() time.Duration {
			t.Helper()
			s, err := q.Stand(ctx, []string{user(0).ChatID})
			if err != nil {
				t.Fatal(err)
			}
			return s.Interval
		}
		takes := queueKeys[8]
		if err := q.Add(ctx, user(0)); err != nil {
			t.Fatal(err)
		}
		if err := q.Taken(ctx, Held{User: user(0)}); err != nil {
			t.Fatal(err)
		}
		if left := store.PTTL(ctx, takes).Val(); left <= 0 || left > slow.ChatTTL {
			t.Fatalf("a take lives for %v though nobody has asked", left)
		}
		interval()
		if left := store.PTTL(ctx, takes).Val(); left <= 29*time.Minute {
			t.Fatalf("a take lives for %v once somebody has asked", left)
		}
		store.Del(ctx, takes)
		for n := range 2 {
			for range 3 {
				if err := q.Taken(ctx, Held{User: user(n)}); err != nil {
					t.Fatal(err)
				}
				if n := store.LLen(ctx, takes).Val(); n > 1 {
					t.Fatalf("%d takes", n)
				}
			}
			if err := q.Add(ctx, user(0)); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Remove(ctx, user(0).ChatID); err != nil {
			t.Fatal(err)
		}
		if n := store.LLen(ctx, takes).Val(); n != 0 {
			t.Fatalf("%d takes of nobody", n)
		}
		for n := range 45 {
			if got := interval(); (got >= 0) != (n >= 3) {
				t.Fatalf("after %d takes the interval is %v", n, got)
			}
			if err := q.Add(ctx, user(n)); err != nil {
				t.Fatal(err)
			}
			if err := q.Taken(ctx, Held{User: user(n)}); err != nil {
				t.Fatal(err)
			}
		}
		if n := store.LLen(ctx, takes).Val(); n < 20 || n > 40 {
			t.Errorf("%d takes are kept", n)
		}
		// Every two minutes: 14 of them lie within half an hour.
		now := time.Now()
		for i := range 20 {
			if err := store.LSet(ctx, takes, int64(i), now.Add(-time.Duration(i)*2*time.Minute-time.Second).UnixMilli()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if got := interval(); got < 119*time.Second || got > 121*time.Second {
			t.Errorf("the interval is %v", got)
		}
		for i := range 20 {
			if err := store.LSet(ctx, takes, int64(i), now.Add(-time.Duration(i)*14*time.Minute-3*time.Minute).UnixMilli()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if got := interval(); got >= 0 {
			t.Errorf("the interval is %v of two takes", got)
		}
		if left := store.PTTL(ctx, takes).Val(); left <= 29*time.Minute || left > 30*time.Minute {
			t.Errorf("the takes live for %v", left)
		}
	})
}

// TestEstimate lives through a day: users come, more of them towards noon, and five agents take
// them one by one. Nine of ten estimates that users get when they come are right within a factor of
// two.
func TestEstimate(t *testing.T) {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	day := time.Now().Truncate(24 * time.Hour)
	server.SetTime(day)
	q, _ := queueAt(t, "redis://"+server.Addr(), QueueConfig{ChatTTL: 24 * time.Hour, ClaimTTL: time.Minute, LeaveGrace: time.Hour})
	q.lease = 24 * time.Hour
	ctx := context.Background()
	random := rand.New(rand.NewSource(11))
	const agents, talk = 5, 6 * time.Minute // so they take 50 an hour
	free := make([]time.Duration, agents)   // when an agent is free, since the day began
	type waits struct {
		n         int
		since     time.Duration
		estimated time.Duration // negative if unknown
	}
	var queue []waits
	var right, all, unknown int
	at := func(now time.Duration) { server.SetTime(day.Add(now)) }
	// takeUntil has agents take users until then.
	takeUntil := func(end time.Duration) {
		for len(queue) > 0 {
			agent := 0
			for i := range free {
				if free[i] < free[agent] {
					agent = i
				}
			}
			u := queue[0]
			now := max(free[agent], u.since)
			if now > end {
				return
			}
			at(now)
			if err := q.Taken(ctx, Held{User: user(u.n)}); err != nil {
				t.Fatal(err)
			}
			// Conversations are of very different lengths.
			free[agent] = now + time.Duration(float64(talk)*math.Exp(0.6*random.NormFloat64()-0.18))
			queue = queue[1:]
			if u.estimated < 0 {
				unknown++
				continue
			}
			all++
			real := now - u.since
			if u.estimated <= 2*real && real <= 2*u.estimated {
				right++
			}
		}
	}
	for n, now := 0, 8*time.Hour; now < 18*time.Hour; n++ {
		perHour := 30 + 40*math.Exp(-math.Pow((now-13*time.Hour).Hours()/2, 2)) // 70 at noon
		now += time.Duration(random.ExpFloat64() / perHour * float64(time.Hour))
		takeUntil(now)
		at(now)
		if err := q.Add(ctx, user(n)); err != nil {
			t.Fatal(err)
		}
		s, err := q.Stand(ctx, []string{user(n).ChatID})
		if err != nil || s.Positions[0] != len(queue)+1 {
			t.Fatal(s, err)
		}
		estimated := time.Duration(-1)
		if s.Interval >= 0 {
			estimated = time.Duration(s.Positions[0]) * s.Interval
		}
		if slices.Min(free) > now { // who is taken at once does not wait
			queue = append(queue, waits{n, now, estimated})
			continue
		}
		queue = append(queue, waits{n, now, -1})
	}
	takeUntil(24 * time.Hour)
	t.Logf("right for %d of %d who waited; %d more were taken at once or could not be told", right, all, unknown)
	if all < 150 || right < all*9/10 {
		t.Errorf("right for %d of %d", right, all)
	}
}

// page is an agent's page that keeps the frames it gets.
type page struct {
	mu     sync.Mutex
	frames []string
	times  []time.Time
}

func (p *page) Queue(frames []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for frame := range strings.Lines(string(frames)) {
		p.frames = append(p.frames, strings.TrimSpace(frame))
		p.times = append(p.times, time.Now())
	}
}
func (p *page) Flush()                  {}
func (p *page) Close(int, string)       {}
func (p *page) Heartbeat(time.Duration) {}

func (p *page) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.frames)
}

// TestAudiences: each agent gets what they have asked for, of users who come and of users who
// change. Changes come once a second at most, and the last one comes.
func TestAudiences(t *testing.T) {
	d := deploy(t, silent{}, 1, slow)
	pages := map[audience]*page{}
	for to, features := range map[audience]string{
		plain: `[]`, verified: `["verified"]`, detailed: `["verified","details"]`,
	} {
		pages[to] = &page{}
		d.lobbies[0].Connect(pages[to], nil).Receive([]byte(`{"type":"Load","args":{"batch":true,"features":`+features+`}}`), time.Now())
	}
	if err := d.queue.Add(t.Context(), told(1, 0)); err != nil {
		t.Fatal(err)
	}
	kinds := func(p *page) (kinds []string) {
		for _, frame := range p.got() {
			kind, _, _ := wire.Decode([]byte(frame))
			kinds = append(kinds, kind)
		}
		return kinds
	}
	eventually(t, "all know the user", func() bool {
		return len(pages[plain].got()) == 2 && len(pages[verified].got()) == 2 && len(pages[detailed].got()) == 2
	})
	const changesMade = 30
	for n := range changesMade {
		if err := d.queue.Change(t.Context(), []User{told(1, n+1)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	last := string(fmt.Appendf(nil, "message %d ", changesMade))
	eventually(t, "the last change is told", func() bool {
		frames := pages[detailed].got()
		return strings.Contains(frames[len(frames)-1], last)
	})
	if err := d.queue.Remove(t.Context(), user(1).ChatID); err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		eventually(t, "all know that the user is gone", func() bool { return slices.Contains(kinds(p), kindRemoveUser) })
	}
	for to, p := range pages {
		frames := p.got()
		joined := told(1, 0)
		for i, kind := range kinds(p) {
			if kind == kindUserJoined && to != detailed && frames[i] != string(event{kindUserJoined, joined}.payload(to)) {
				t.Errorf("audience %d got %s", to, frames[i])
			}
		}
		want := []string{"PendingUsers", kindUserJoined, kindRemoveUser}
		if got := slices.DeleteFunc(kinds(p), func(kind string) bool { return kind == kindUserChanged }); !slices.Equal(got, want) {
			t.Errorf("audience %d got %q", to, got)
		}
		changed := 0
		var before time.Time
		for i, kind := range kinds(p) {
			if kind != kindUserChanged {
				continue
			}
			changed++
			if gap := p.times[i].Sub(before); gap < 900*time.Millisecond {
				t.Errorf("changes %v apart", gap)
			}
			before = p.times[i]
		}
		if to != detailed && changed > 0 || to == detailed && (changed < 2 || changed > 6) {
			t.Errorf("audience %d was told of %d changes", to, changed)
		}
	}
}
