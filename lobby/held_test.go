package lobby

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// waiting returns the users who are in the queue and whom nobody has, in order.
func waiting(t *testing.T, q *Queue) (names []string) {
	t.Helper()
	c, err := q.since(t.Context(), "other", 0, newsWanted{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.pending {
		u, ok := parseRecord(p.payload)
		if !ok {
			t.Fatalf("in the queue: %s", p.payload)
		}
		names = append(names, u.Username)
	}
	return names
}

func wait(t *testing.T, q *Queue, want ...int) {
	t.Helper()
	names := make([]string, len(want))
	for i, n := range want {
		names[i] = user(n).Username
	}
	if got := waiting(t, q); !slices.Equal(got, names) {
		t.Fatalf("pending: %q, want %q", got, names)
	}
}

// sits tells the queue of an agent who shows offers, at a server of their own.
func sits(t *testing.T, q *Queue, agent string, change func(s *seat)) {
	t.Helper()
	s := seat{agent: agent, seatNews: seatNews{since: time.Now().UnixMicro(), shows: true, about: about{Name: agent, Known: true}}}
	if change != nil {
		change(&s)
	}
	if _, err := q.desk(t.Context(), serverOf(agent), true, []seat{s}); err != nil {
		t.Fatal(err)
	}
}

func serverOf(agent string) string { return fmt.Sprintf("%016x", maphash.String(serverSeed, agent)) }

var serverSeed = maphash.MakeSeed()

func newsOf(t *testing.T, q *Queue, kinds string) news {
	t.Helper()
	c, err := q.since(t.Context(), "other", 0, newsWanted{kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return c.news
}

func offers(t *testing.T, q *Queue) string {
	t.Helper()
	var list []string
	for _, o := range newsOf(t, q, newsOffers).offers {
		list = append(list, o.user.Username+" to "+o.agent)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func load(t *testing.T, q *Queue, agent string) (held, claimed, offered int64) {
	t.Helper()
	for _, a := range newsOf(t, q, newsAgents).agents {
		if a.id == agent {
			return a.held, a.claimed, a.offered
		}
	}
	t.Fatalf("no agent %s", agent)
	return
}

// TestPlaces: whoever comes is last, and whoever is released has the old place.
func TestPlaces(t *testing.T) {
	onEachStore(t, slow, func(t *testing.T, q *Queue, _ redis.UniversalClient) {
		ctx := t.Context()
		now := time.Now().UnixMicro()
		at := func(n int, since int64) User { u := user(n); u.Since = since; return u }
		for _, err := range []error{
			q.Add(ctx, at(1, now)), q.Add(ctx, at(2, now+1000)), q.Add(ctx, at(3, now-5000)), q.Add(ctx, user(4)),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		wait(t, q, 1, 2, 3, 4)
		if err := q.Taken(ctx, Held{User: user(2), SupportID: "s"}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // from two servers
			if err := q.Release(ctx, at(2, now+1000), Offered{}); err != nil {
				t.Fatal(err)
			}
		}
		wait(t, q, 1, 2, 3, 4)
		// One whose place is taken comes next to it.
		if err := q.Release(ctx, at(5, now), Offered{}); err != nil {
			t.Fatal(err)
		}
		wait(t, q, 1, 5, 2, 3, 4)
		c, events := changes(t, q, "other", 0)
		for _, p := range c.pending[2:3] {
			if u, _ := parseRecord(p.payload); u.Since != now+1000 {
				t.Errorf("%v waits since %d", u, u.Since)
			}
		}
		_ = events
		if err := q.Add(ctx, user(6)); err != nil {
			t.Fatal(err)
		}
		wait(t, q, 1, 5, 2, 3, 4, 6)
	})
}

// TestRelease: a user who is given to an agent is shown to that agent alone until the offer is
// over.
func TestRelease(t *testing.T) {
	onEachStore(t, slow, func(t *testing.T, q *Queue, store redis.UniversalClient) {
		ctx := t.Context()
		u := user(1)
		u.Since = time.Now().UnixMicro()
		reach := func(agent string, want bool) {
			t.Helper()
			if got, err := q.Reachable(ctx, agent); err != nil || got != want {
				t.Fatalf("%s can be reached: %v, %v", agent, got, err)
			}
		}
		release := func(to string) {
			t.Helper()
			if err := q.Release(ctx, u, Offered{Agent: to, From: "Vika", Note: "knows \"it\""}); err != nil {
				t.Fatal(err)
			}
		}
		reach("dodo", false)
		sits(t, q, "dodo", nil)
		sits(t, q, "mute", func(s *seat) { s.shows = false })
		reach("dodo", true)
		reach("mute", false)

		release("dodo")
		wait(t, q)
		list := newsOf(t, q, newsOffers).offers
		if len(list) != 1 || list[0].agent != "dodo" || list[0].text != (offerText{"Vika", "knows \"it\""}) || list[0].user != u {
			t.Fatalf("offered: %+v", list)
		}
		if s, err := q.Stand(ctx, []string{u.ChatID}); err != nil || s.Waiting != 1 || s.Positions[0] != 1 {
			t.Errorf("who is offered stands at %+v, %v", s, err)
		}
		if _, _, offered := load(t, q, "dodo"); offered != 1 {
			t.Errorf("%d offers count", offered)
		}
		release("") // another server, which knows less
		wait(t, q)
		if won, _, err := q.Claim(ctx, u.ChatID, u.UserID, "mute"); won || err != nil {
			t.Fatal("another agent has claimed them", err)
		}
		if back, err := q.TakeBack(ctx, u.ChatID, "old"); back || err != nil {
			t.Fatal("the old support has taken them back", err)
		}
		if won, again, err := q.Claim(ctx, u.ChatID, u.UserID, "dodo"); !won || again || err != nil {
			t.Fatal("not accepted", err)
		}
		if held, claimed, offered := load(t, q, "dodo"); held != 0 || claimed != 1 || offered != 0 {
			t.Error("after accepting:", held, claimed, offered)
		}
		if err := q.Taken(ctx, Held{User: u, Agent: "dodo", SupportID: "new"}); err != nil {
			t.Fatal(err)
		}
		if held, claimed, offered := load(t, q, "dodo"); held != 1 || claimed != 0 || offered != 0 {
			t.Error("after joining:", held, claimed, offered)
		}

		release("dodo")
		if err := q.Decline(ctx, u.ChatID, u.UserID, "mute"); err != nil || offers(t, q) != "user 1 to dodo" {
			t.Fatal(offers(t, q), err)
		}
		if err := q.Decline(ctx, u.ChatID, u.UserID, "dodo"); err != nil || offers(t, q) != "" {
			t.Fatal(offers(t, q), err)
		}
		wait(t, q, 1)
		if back, err := q.TakeBack(ctx, u.ChatID, "new"); !back || err != nil {
			t.Fatal("not taken back", err)
		}
		wait(t, q)
		release("mute") // cannot be shown to
		wait(t, q, 1)
		if _, err := q.TakeBack(ctx, u.ChatID, "new"); err != nil {
			t.Fatal(err)
		}

		release("dodo") // and they end
		if err := q.closeDesk(ctx, serverOf("dodo")); err != nil || offers(t, q) != "" {
			t.Fatal(offers(t, q), err)
		}
		wait(t, q, 1)
		reach("dodo", false)
	})
}

// TestHold: chats count for their agents while somebody wants to know: from when they are taken or
// held until they are dropped, released, or not renewed.
func TestHold(t *testing.T) {
	onEachStore(t, slow, func(t *testing.T, q *Queue, store redis.UniversalClient) {
		ctx := t.Context()
		chat := func(n int, agent string) Held {
			return Held{User: user(n), Agent: agent, SupportID: fmt.Sprint("s", n), SupportUserName: "Vika", Since: int64(n)}
		}
		hold := func(want bool, chats ...Held) {
			t.Helper()
			if watched, err := q.Hold(ctx, chats); err != nil || watched != want {
				t.Fatal(watched, err)
			}
		}
		held := func(want ...int) {
			t.Helper()
			var got []int
			for _, c := range newsOf(t, q, newsChats).chats {
				var n int
				fmt.Sscanf(c.Username, "user %d", &n)
				if c.chatID != user(n).ChatID || c.supportID != fmt.Sprint("s", n) || c.heldRecord != (heldRecord{user(n).UserID, user(n).Username, "Vika", "", int64(n)}) {
					t.Errorf("held: %+v", c)
				}
				got = append(got, n)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("held: %v, want %v", got, want)
			}
		}
		if err := q.Taken(ctx, chat(1, "vika")); err != nil {
			t.Fatal(err)
		}
		hold(false)
		hold(false, chat(1, "vika"))
		// Somebody without a token claims and takes one before anybody watches.
		if err := q.Add(ctx, user(2)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := q.Claim(ctx, user(2).ChatID, user(2).UserID, "socket"); err != nil {
			t.Fatal(err)
		}
		if err := q.Taken(ctx, chat(2, "")); err != nil {
			t.Fatal(err)
		}
		held()

		sits(t, q, "vika", nil)
		sits(t, q, "socket", nil)
		hold(true)
		hold(true, chat(1, "vika"), chat(2, ""))
		held(1, 2)
		for _, agent := range []string{"vika", "socket"} {
			if n, claimed, _ := load(t, q, agent); n != 1 || claimed != 0 {
				t.Errorf("%s has %d chats, %d claims", agent, n, claimed)
			}
		}
		if err := q.Drop(ctx, user(1).ChatID); err != nil {
			t.Fatal(err)
		}
		held(2)
		q.holding = newHolding() // a server that has not heard of it
		hold(true, chat(1, "vika"))
		held(2)

		// A server that does not know who had claimed it.
		hold(true, chat(2, ""))
		if n, _, _ := load(t, q, "socket"); n != 1 {
			t.Errorf("the socket has %d chats", n)
		}
		// The store has lost it all.
		store.FlushAll(ctx)
		hold(false)
		sits(t, q, "vika", nil)
		hold(true)
		hold(true, chat(3, "vika"))
		held(3)
		if n, _, _ := load(t, q, "vika"); n != 1 {
			t.Errorf("vika has %d chats", n)
		}
		// Its servers die.
		store.ZAdd(ctx, queueKeys[staffKey+8], redis.Z{Score: 1, Member: user(3).ChatID})
		held()
		if n, _, _ := load(t, q, "vika"); n != 0 {
			t.Errorf("vika has %d chats", n)
		}
	})
}

// TestOverview counts the agents who could take somebody.
func TestOverview(t *testing.T) {
	onEachStore(t, slow, func(t *testing.T, q *Queue, _ redis.UniversalClient) {
		ctx := t.Context()
		look := func() Overview {
			t.Helper()
			o, err := q.Overview(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		if o := look(); o.Agents != 0 || o.Waiting != 0 || o.Estimate >= 0 {
			t.Fatalf("%+v", o)
		}
		at := time.Now().UnixMicro()
		sits(t, q, "vika", func(s *seat) { s.teams = newTeamSet([]string{"billing", "sales"}, nil) })
		sits(t, q, "dodo", func(s *seat) { s.status = status{at, false, 1} })
		sits(t, q, "nino", func(s *seat) { s.status = status{at, true, 0} })
		sits(t, q, "socket", func(s *seat) { s.Known, s.status = false, status{at, false, 1} })
		for _, agent := range []string{"dodo", "socket"} {
			if err := q.Taken(ctx, Held{User: user(len(agent)), Agent: agent, SupportID: "s"}); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 3 {
			for range 2 {
				if err := q.Add(ctx, user(n)); err != nil {
					t.Fatal(err)
				}
				if err := q.Taken(ctx, Held{User: user(n)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := q.Add(ctx, user(10+n)); err != nil {
				t.Fatal(err)
			}
		}
		o := look()
		if o.Agents != 2 || o.OfTeam("billing") != 2 || o.OfTeam("other") != 1 || o.Waiting != 3 || o.Estimate < 0 {
			t.Errorf("%+v, of billing %d, of another %d", o, o.OfTeam("billing"), o.OfTeam("other"))
		}
	})
}
