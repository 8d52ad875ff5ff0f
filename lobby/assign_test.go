package lobby

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func assigning(how Assignment) QueueConfig {
	cfg := slow
	cfg.Assign, cfg.OfferTTL = how, time.Minute
	return cfg
}

// at is a seat loaded at a time, with a limit.
func at(order, capacity int, teams ...string) func(*seat) {
	return func(s *seat) {
		s.since = int64(order)
		s.teams = newTeamSet(teams, nil)
		s.status = status{at: int64(order), capacity: capacity}
	}
}

// TestRoundRobin: the next agent is the one who has waited longest for an offer, at first the one
// who came first. Agents who are full, away, of another team, or were asked before are left out.
func TestRoundRobin(t *testing.T) {
	onEachStore(t, assigning(AssignRoundRobin), func(t *testing.T, q *Queue, _ redis.UniversalClient) {
		ctx := t.Context()
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		want := func(want string, pending ...int) {
			t.Helper()
			if got := offers(t, q); got != want {
				t.Fatalf("offered: %s, want %s", got, want)
			}
			wait(t, q, pending...)
		}
		add := func(n int, team string) { t.Helper(); u := user(n); u.Team = team; check(q.Add(ctx, u)) }
		decline := func(n int, agent string) {
			t.Helper()
			check(q.Decline(ctx, user(n).ChatID, user(n).UserID, agent))
		}
		add(1, "")
		want("", 1)
		sits(t, q, "b", at(2, 1))
		want("user 1 to b")
		sits(t, q, "a", at(1, 2))
		sits(t, q, "c", at(3, 0, "billing"))
		add(2, "")
		add(3, "")
		add(4, "sales")
		want("user 1 to b, user 2 to a, user 3 to c, user 4 to a")
		add(5, "sales") // a and b are full, c is of another team
		want("user 1 to b, user 2 to a, user 3 to c, user 4 to a", 5)

		// An agent who declines has room, and is not asked again.
		decline(1, "b")
		want("user 1 to c, user 2 to a, user 3 to c, user 4 to a, user 5 to b")
		decline(5, "b")
		want("user 1 to c, user 2 to a, user 3 to c, user 4 to a", 5)
		decline(4, "a") // b is next, and gets the older one; a gets the other
		want("user 1 to c, user 2 to a, user 3 to c, user 4 to b, user 5 to a")
		decline(1, "c") // a and b are full: all have been asked, or will be
		want("user 2 to a, user 3 to c, user 4 to b, user 5 to a", 1)

		// Taken by b: nobody has room for the user who is pending for all, till c's end.
		won, _, err := q.Claim(ctx, user(4).ChatID, user(4).UserID, "b")
		check(err)
		if !won {
			t.Fatal("not accepted")
		}
		check(q.Taken(ctx, Held{User: user(4), Agent: "b", SupportID: "s4"}))
		want("user 2 to a, user 3 to c, user 5 to a", 1)
		check(q.closeDesk(ctx, serverOf("c")))
		want("user 2 to a, user 5 to a", 1, 3)
		check(q.Drop(ctx, user(4).ChatID))
		want("user 2 to a, user 3 to b, user 5 to a", 1) // b has been asked about user 1
		decline(2, "a")
		want("user 1 to a, user 3 to b, user 5 to a", 2)
		// Away, then with more room; a gets what b has not been asked about.
		sits(t, q, "b", func(s *seat) { at(2, 5)(s); s.status.at, s.status.away = 10, true })
		want("user 1 to a, user 3 to b, user 5 to a", 2)
		sits(t, q, "b", func(s *seat) { at(2, 5)(s); s.status.at = 11 })
		want("user 1 to a, user 2 to b, user 3 to b, user 5 to a")

		// A release begins a new wait.
		for _, err := range []error{
			q.Remove(ctx, user(2).ChatID), q.Remove(ctx, user(3).ChatID), q.Remove(ctx, user(5).ChatID),
		} {
			check(err)
		}
		decline(1, "a")
		want("", 1)
		check(q.Taken(ctx, Held{User: user(1), Agent: "a", SupportID: "s1"}))
		u := user(1)
		u.Since = time.Now().UnixMicro()
		check(q.Release(ctx, u, Offered{Agent: "a"}))
		want("user 1 to a")
		decline(1, "a")
		want("user 1 to b")
		decline(1, "b")
		want("", 1)
		// Another agent comes.
		sits(t, q, "d", at(9, 0))
		want("user 1 to d")
	})
}

// TestLeastBusy: the agent with the fewest chats for their capacity comes first. Offers and claims
// count.
func TestLeastBusy(t *testing.T) {
	onEachStore(t, assigning(AssignLeastBusy), func(t *testing.T, q *Queue, _ redis.UniversalClient) {
		ctx := t.Context()
		sits(t, q, "a", at(1, 4))
		sits(t, q, "b", at(2, 2))
		for n := range 3 {
			if err := q.Taken(ctx, Held{User: user(100 + n), Agent: "a", SupportID: fmt.Sprint("s", n)}); err != nil {
				t.Fatal(err)
			}
		}
		for n, want := range []string{
			"user 0 to b",              // 0/2 before 3/4
			"user 0 to b, user 1 to b", // 1/2
			"user 0 to b, user 1 to b, user 2 to a",
			"user 0 to b, user 1 to b, user 2 to a", // all full
		} {
			if err := q.Add(ctx, user(n)); err != nil {
				t.Fatal(err)
			}
			if got := offers(t, q); got != want {
				t.Fatalf("offered: %s, want %s", got, want)
			}
		}
		wait(t, q, 3)
		sits(t, q, "c", at(3, 0))
		if got, want := offers(t, q), "user 0 to b, user 1 to b, user 2 to a, user 3 to c"; got != want {
			t.Fatalf("offered: %s, want %s", got, want)
		}
	})
}

// TestOfferRunsOut: an agent who does not answer loses the offer to the next one, and so does one
// who accepts and does not join.
func TestOfferRunsOut(t *testing.T) {
	cfg := assigning(AssignRoundRobin)
	cfg.OfferTTL, cfg.ClaimTTL = 300*time.Millisecond, 300*time.Millisecond
	onEachStore(t, cfg, func(t *testing.T, q *Queue, _ redis.UniversalClient) {
		if err := q.Add(t.Context(), user(9)); err != nil { // so that the log reaches back
			t.Fatal(err)
		}
		if err := q.Remove(t.Context(), user(9).ChatID); err != nil {
			t.Fatal(err)
		}
		sits(t, q, "a", at(1, 1))
		sits(t, q, "b", at(2, 1))
		if err := q.Add(t.Context(), user(1)); err != nil {
			t.Fatal(err)
		}
		c, _ := changes(t, q, "other", 0)
		eventually(t, "a is asked", func() bool { return offers(t, q) == "user 1 to a" })
		eventually(t, "b is asked", func() bool { return offers(t, q) == "user 1 to b" })
		if won, _, err := q.Claim(t.Context(), user(1).ChatID, user(1).UserID, "b"); err != nil || !won {
			t.Skip("too late on a busy machine")
		}
		eventually(t, "pending for all", func() bool { return len(waiting(t, q)) == 1 })
		_, events := changes(t, q, c.epoch, c.version)
		// On a busy machine it was pending for all before b took it.
		for i, event := range events {
			if want := []string{kindUserJoined, kindRemoveUser}[i%2]; event.Kind != want {
				t.Errorf("told %+v", events)
			}
		}
		if len(events)%2 != 1 {
			t.Errorf("told %+v", events)
		}
	})
}

// TestOldestFirst: over many arrivals and departures of agents and users, the user who is offered
// to an agent has waited longest of those whom the agent could be asked about. In the end everybody
// has been served or is in the list.
func TestOldestFirst(t *testing.T) {
	cfg := assigning(AssignRoundRobin)
	onEachStore(t, cfg, func(t *testing.T, q *Queue, _ redis.UniversalClient) {
		ctx := t.Context()
		random := rand.New(rand.NewSource(5))
		agents := make([]string, 5)
		var waits []int // in the order in which they came
		open := map[int]string{}
		served := 0
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		look := func() {
			t.Helper()
			now := map[int]string{}
			for _, o := range newsOf(t, q, newsOffers).offers {
				now[number(o.chatID)] = o.agent
			}
			oldest := -1
			for i, n := range waits {
				if now[n] == "" {
					oldest = i
					break
				}
			}
			for n := range now {
				if at := slices.Index(waits, n); at < 0 || oldest >= 0 && at > oldest && open[n] == "" {
					t.Fatalf("user %d is offered before user %d", n, waits[oldest])
				}
			}
			open = now
		}
		for n := range 1000 {
			switch i := random.Intn(len(agents)); random.Intn(6) {
			case 0:
				if agents[i] == "" { // somebody new: who comes back may have been asked before
					agents[i] = fmt.Sprint("agent ", n)
				}
				sits(t, q, agents[i], at(n+1, 1+random.Intn(3)))
			case 1:
				if agents[i] != "" {
					check(q.closeDesk(ctx, serverOf(agents[i])))
					agents[i] = ""
				}
			}
			check(q.Add(ctx, user(n)))
			waits = append(waits, n)
			look()
			for _, k := range slices.Sorted(maps.Keys(open)) {
				agent := open[k]
				if agent == "" {
					continue // ended by one of these
				}
				if random.Intn(3) > 0 {
					continue
				}
				if won, _, err := q.Claim(ctx, user(k).ChatID, user(k).UserID, agent); err != nil || !won {
					t.Fatal(won, err)
				}
				check(q.Taken(ctx, Held{User: user(k), SupportID: "s"}))
				check(q.Drop(ctx, user(k).ChatID))
				waits = slices.DeleteFunc(waits, func(n int) bool { return n == k })
				served++
				look()
			}
			if random.Intn(10) == 0 && len(waits) > 0 { // somebody leaves
				k := waits[random.Intn(len(waits))]
				check(q.Remove(ctx, user(k).ChatID))
				waits = slices.DeleteFunc(waits, func(n int) bool { return n == k })
				look()
			}
		}
		for _, agent := range agents {
			if agent == "" {
				continue
			}
			if held, claimed, _ := load(t, q, agent); held+claimed != 0 {
				t.Errorf("%s has %d chats and %d claims", agent, held, claimed)
			}
			check(q.closeDesk(ctx, serverOf(agent)))
		}
		wait(t, q, waits...)
		t.Logf("%d served, %d in the list", served, len(waits))
		if served < 300 {
			t.Error("too few to say anything")
		}
	})
}
