package lobby

import (
	"fmt"
	"iter"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"livesupport/broker/brokertest"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// follower keeps what a lobby is told bit by bit, and notes what no lobby should be.
type follower struct {
	change
	users  map[int]bool
	agents map[string]agentNews
	offers map[int]string
	held   map[int]string
	faults []string
}

func newFollower() *follower {
	return &follower{users: map[int]bool{}, agents: map[string]agentNews{}, offers: map[int]string{}, held: map[int]string{}}
}

func number(id string) (n int) {
	fmt.Sscanf(id, "%x", &n)
	return n & (1<<32 - 1)
}

func (f *follower) look(t *testing.T, q *Queue) {
	t.Helper()
	f.news.kinds = newsAgents + newsOffers + newsChats
	c, err := q.since(t.Context(), f.epoch, f.version, f.news.newsWanted)
	if err != nil {
		t.Fatal(err)
	}
	if c.all {
		f.users = map[int]bool{}
		for _, p := range c.pending {
			u, _ := parseRecord(p.payload)
			f.users[number(u.UserID)] = true
		}
	} else {
		for _, logged := range c.events {
			e, ok := decodeLogged(logged)
			n := number(e.UserID)
			if !ok || f.users[n] == (e.Kind == kindUserJoined) {
				f.faults = append(f.faults, string(logged.payload))
			}
			if f.users[n] = true; e.Kind == kindRemoveUser {
				delete(f.users, n)
			}
		}
	}
	if c.news.all {
		clear(f.agents)
		clear(f.offers)
		clear(f.held)
	}
	for _, a := range c.news.agents {
		if f.agents[a.id] = a; len(a.seats) == 0 {
			delete(f.agents, a.id)
		}
	}
	for _, o := range c.news.offers {
		if n := number(o.chatID); o.agent == "" {
			delete(f.offers, n)
		} else {
			f.offers[n] = o.agent
		}
	}
	for _, h := range c.news.chats {
		if n := number(h.chatID); h.supportID == "" {
			delete(f.held, n)
		} else {
			f.held[n] = fmt.Sprintf("%q %s", h.agent, h.supportID)
		}
	}
	f.change = c
}

// text is what it shows, in the model's form. Of those who wait it knows the order from
// the queue itself.
func (f *follower) text(t *testing.T, q *Queue) string {
	var b strings.Builder
	pending := []int{}
	for _, name := range waiting(t, q) {
		var n int
		fmt.Sscanf(name, "user %d", &n)
		pending = append(pending, n)
		if !f.users[n] {
			f.faults = append(f.faults, name+" is missing")
		}
	}
	if len(pending) != len(f.users) {
		f.faults = append(f.faults, fmt.Sprint(f.users))
	}
	fmt.Fprintln(&b, "pending", pending)
	for _, n := range slices.Sorted(maps.Keys(f.offers)) {
		fmt.Fprintf(&b, "offer %d %s\n", n, f.offers[n])
	}
	for _, n := range slices.Sorted(maps.Keys(f.held)) {
		fmt.Fprintf(&b, "held %d %s\n", n, f.held[n])
	}
	for _, id := range slices.Sorted(maps.Keys(f.agents)) {
		a := f.agents[id]
		fmt.Fprintf(&b, "agent %s away=%v capacity=%d seats=%d load=%d,%d,%d\n", id, a.away, a.capacity, len(a.seats), a.held, a.claimed, a.offered)
	}
	return b.String()
}

// counted is what has become of offers, by the queue's figures.
func counted(t *testing.T, q *Queue) iter.Seq2[string, int] {
	figures := prometheus.NewRegistry()
	figures.MustRegister(q.Metrics()...)
	families, err := figures.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	return func(yield func(string, int) bool) {
		for _, one := range families[0].Metric {
			if !yield(one.Label[0].GetValue(), int(one.Counter.GetValue())) {
				return
			}
		}
	}
}

// TestModel does random things to the queue and to a plain model of it. They agree after each step,
// and so does what a lobby is told bit by bit. With the Redis in process, time passes, too.
func TestModel(t *testing.T) {
	for _, how := range []Assignment{AssignOff, AssignRoundRobin, AssignLeastBusy} {
		for _, place := range []string{"in process", "redis-server"} {
			t.Run(string(how)+" "+place, func(t *testing.T) {
				t.Parallel()
				cfg := QueueConfig{ChatTTL: time.Hour, ClaimTTL: 8 * time.Second, LeaveGrace: 5 * time.Second, OfferTTL: modelOffer * time.Millisecond, Assign: how}
				url, pass := "", func(time.Duration) int64 { return 0 }
				if place == "in process" {
					server := miniredis.RunT(t)
					now := time.Now().Truncate(time.Second)
					server.SetTime(now)
					pass = func(d time.Duration) int64 { now = now.Add(d); server.SetTime(now); return d.Milliseconds() }
					url = "redis://" + server.Addr()
				} else {
					url = brokertest.StartRedisServer(t).URL()
					cfg.ClaimTTL, cfg.LeaveGrace, cfg.OfferTTL = time.Hour, time.Hour, time.Hour // however slow the machine is
				}
				for seed := range int64(2) {
					q, db := queueAt(t, url, cfg)
					if err := db.Client().FlushAll(t.Context()).Err(); err != nil {
						t.Fatal(err)
					}
					compare(t, q, newModel(how), rand.New(rand.NewSource(seed)), pass)
				}
			})
		}
	}
}

func compare(t *testing.T, q *Queue, m *model, random *rand.Rand, pass func(time.Duration) int64) {
	ctx := t.Context()
	f := newFollower()
	agents := []string{"vika", "dodo", "nino", "lali"}
	servers := []string{"00000000000000aa", "00000000000000bb"}
	teams := []string{"", "", "billing", "sales"}
	since := time.Now().UnixMicro()
	begun := map[int]int64{}
	var done []string
	err := error(nil)
	check := func(what string) {
		done = append(done, what)
		if err != nil {
			t.Fatal(what, err)
		}
	}
	// believed makes one more entry for a user's log, and tells whether the log is there and
	// as long as that says.
	believed := func(n int) (e Entries, there, right bool) {
		log, store := "chat:{"+user(n).ChatID+"}", q.cfg.DB.Client()
		if random.Intn(6) == 0 {
			store.Del(ctx, log)
			return Entries{Log: log, Life: time.Hour, After: 1, New: [][]byte{[]byte("more")}}, false, false
		}
		length, pushed := store.RPush(ctx, log, "some").Result()
		if pushed != nil {
			t.Fatal(pushed)
		}
		e = Entries{Log: log, Life: time.Hour, After: length - int64(random.Intn(3)/2), New: [][]byte{[]byte("more")}}
		return e, true, e.After == length
	}
	const watcher = "00000000000000cc"
	for step := range 400 {
		if _, err = q.desk(ctx, watcher, true, nil); err != nil {
			t.Fatal(err)
		}
		m.desk(watcher)
		n, agent, server := random.Intn(12), agents[random.Intn(len(agents))], servers[random.Intn(len(servers))]
		support := fmt.Sprint("s", random.Intn(3))
		switch op := random.Intn(20); op {
		case 0, 1, 2, 3:
			u := user(n)
			since += 10
			u.Since, u.Team = since, teams[random.Intn(len(teams))]
			before := begun[n]
			if m.users[n] == nil {
				begun[n] = since
			}
			if op < 2 {
				m.add(n, since, u.Team)
				err = q.Add(ctx, u)
				check(fmt.Sprintf("add %d of %q", n, u.Team))
				break
			}
			e, there, right := believed(n)
			if right {
				m.add(n, since, u.Team)
			} else {
				begun[n] = before
			}
			var length int64
			var entered bool
			length, entered, err = q.Enter(ctx, u, e)
			check(fmt.Sprintf("enter %d of %q: %v", n, u.Team, entered))
			if entered != right || (length > 0) != there {
				t.Fatalf("%q: want %v, %v, log %d", done, there, right, length)
			}
		case 4:
			m.remove(n)
			err = q.Remove(ctx, user(n).ChatID)
			check(fmt.Sprint("remove ", n))
		case 5:
			if u := m.users[n]; u != nil {
				u.present = m.now + q.cfg.LeaveGrace.Milliseconds()
			}
			err = q.Leave(ctx, user(n).ChatID)
			check(fmt.Sprint("leave ", n))
		case 6, 7, 8:
			its := newTeamSet([]string{teams[random.Intn(len(teams))]}, nil)
			want := m.claim(n, agent, string(its), q.cfg.ClaimTTL.Milliseconds())
			var got claimResult
			got, err = q.claim(ctx, user(n).ChatID, user(n).UserID, agent, its)
			check(fmt.Sprint("claim ", n, " for ", agent, " ", got))
			if string(got) != want {
				t.Fatalf("%q: want %s", done, want)
			}
		case 9, 10:
			m.decline(n, agent)
			err = q.Decline(ctx, user(n).ChatID, user(n).UserID, agent)
			check(fmt.Sprint("decline ", n, " by ", agent))
		case 11, 12:
			if random.Intn(3) == 0 {
				agent = ""
			}
			held := Held{User: user(n), Agent: agent, SupportID: support}
			if op == 11 {
				m.taken(n, agent, support)
				err = q.Taken(ctx, held)
				check(fmt.Sprint("taken ", n, " by ", agent, " as ", support))
				break
			}
			e, there, right := believed(n)
			lost := agent != "" && m.claim(n, agent, "", q.cfg.ClaimTTL.Milliseconds()) == "lost"
			if right && !lost {
				m.taken(n, agent, support)
			}
			var got Taking
			got, err = q.Take(ctx, held, e, nil)
			check(fmt.Sprintf("take %d by %s as %s: %+v", n, agent, support, got))
			if got.Lost != lost || got.Taken != (right && !lost) || !lost && (got.Length > 0) != there {
				t.Fatalf("%q: want %v, %v, %v", done, lost, there, right)
			}
		case 13, 14:
			u := user(n)
			if u.Since = begun[n]; u.Since == 0 {
				continue
			}
			u.Team = teams[random.Intn(len(teams))]
			if random.Intn(2) == 0 {
				agent = ""
			}
			taker := []string{"", "", agents[random.Intn(len(agents))]}[random.Intn(3)]
			m.release(n, u.Since, u.Team, agent, taker)
			err = q.Release(ctx, u, Offered{Agent: agent, Taker: taker})
			check(fmt.Sprintf("release %d of %q to %s, perhaps taken by %s", n, u.Team, agent, taker))
		case 15:
			want := m.takeBack(n, support)
			var got bool
			got, err = q.TakeBack(ctx, user(n).ChatID, support)
			check(fmt.Sprint("take back ", n, " as ", support))
			if got != want {
				t.Fatalf("%q: %v", done, got)
			}
		case 16:
			q.holding = newHolding()
			if random.Intn(2) == 0 {
				agent = ""
			}
			m.hold(n, agent, support)
			_, err = q.Hold(ctx, []Held{{User: user(n), Agent: agent, SupportID: support}})
			check(fmt.Sprint("hold ", n, " by ", agent, " as ", support))
		case 17:
			m.unhold(n, true)
			m.settle()
			err = q.Drop(ctx, user(n).ChatID)
			check(fmt.Sprint("drop ", n))
		case 18:
			one := seat{agent: agent, gone: random.Intn(4) == 0}
			// The same teams at each server, for the last of several is chosen.
			one.since, one.shows = int64(step+1), random.Intn(8) > 0
			one.teams = newTeamSet([]string{teams[slices.Index(agents, agent)]}, nil)
			one.about = about{Name: agent, Known: true}
			if random.Intn(2) == 0 {
				one.status = status{int64(step + 1), random.Intn(3) == 0, random.Intn(4)}
			}
			m.desk(server, one)
			_, err = q.desk(ctx, server, true, []seat{one})
			check(fmt.Sprintf("desk %s %+v", server, one))
		case 19:
			if random.Intn(10) == 0 {
				m.closeDesk(server)
				m.settle()
				err = q.closeDesk(ctx, server)
				check("close " + server)
			}
			if len(m.users) > 0 || step%2 == 0 {
				d := time.Duration(random.Intn(1200)) * time.Millisecond
				m.now += pass(d)
				done = append(done, fmt.Sprint("wait ", d))
			}
		}
		if random.Intn(3) == 0 { // or else two changes are told at once
			continue
		}
		m.sweep()
		f.look(t, q)
		got, want := f.text(t, q), m.text() // got sweeps, too
		for event, n := range counted(t, q) {
			got, want = got+fmt.Sprintln(event, n), want+fmt.Sprintln(event, m.counts[event])
		}
		if got != want || f.faults != nil {
			t.Fatalf("after %s\ngot\n%swant\n%s%q", strings.Join(done[max(0, len(done)-30):], "\n"), got, want, f.faults)
		}
	}
}
