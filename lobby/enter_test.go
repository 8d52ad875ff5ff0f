package lobby

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
)

// TestEnterAndTake: the log gets its entries, and the queue follows if the log was as long
// as believed, also where the store keeps the two apart.
func TestEnterAndTake(t *testing.T) {
	for name, url := range map[string]func(*testing.T) string{
		"in process":                       func(t *testing.T) string { return brokertest.StartEmbeddedRedis(t).URL() },
		"redis-server":                     func(t *testing.T) string { return brokertest.StartRedisServer(t).URL() },
		"Cluster":                          func(t *testing.T) string { return brokertest.StartRedisCluster(t).URL() },
		"Cluster of which a node is named": func(t *testing.T) string { return brokertest.StartRedisCluster(t).Node() },
	} {
		t.Run(name, func(t *testing.T) {
			q, db := queueAt(t, url(t), slow)
			if err := db.AwaitTime(t.Context()); err != nil { // until then it may not be known as a Cluster
				t.Fatal(err)
			}
			store := db.Client()
			eventually(t, "every node takes writes", func() bool {
				for n := range 30 {
					if store.Set(t.Context(), fmt.Sprint("any ", n), "", 0).Err() != nil {
						return false
					}
				}
				return true
			})
			enterAndTake(t, q, store)
		})
	}
}

func enterAndTake(t *testing.T, q *Queue, store redis.UniversalClient) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// log is n's, as long as that.
	log := func(n, length int) string {
		key := "chat:{" + user(n).ChatID + "}"
		for range length {
			if err := store.RPush(ctx, key, "some").Err(); err != nil {
				t.Fatal(err)
			}
		}
		return key
	}
	with := func(key string, after int64, entries ...string) Entries {
		e := Entries{Log: key, Life: time.Hour, After: after}
		for _, one := range entries {
			e.New = append(e.New, []byte(one))
		}
		return e
	}
	holds := func(key string, want ...string) {
		t.Helper()
		if got := store.LRange(ctx, key, 0, -1).Val(); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", key, got, want)
		}
		life := store.PTTL(ctx, key).Val()
		if len(want) > 0 && life < 59*time.Minute || life > time.Hour {
			t.Errorf("%s lives for %v", key, life)
		}
	}
	enter := func(n int, e Entries, length int64, entered bool) {
		t.Helper()
		if l, in, err := q.Enter(ctx, user(n), e); l != length || in != entered || err != nil {
			t.Errorf("entered: %d, %v, %v; want %d, %v", l, in, err, length, entered)
		}
	}
	take := func(h Held, e Entries, want Taking) {
		t.Helper()
		got, err := q.Take(ctx, h, e, nil)
		if q.apart.Load() && got.Length > 0 && got.Length == e.length() { // in steps, of which the last is the caller's
			if err := q.Taken(ctx, h); err != nil {
				t.Fatal(err)
			}
			got.Taken = true
		}
		if got != want || err != nil {
			t.Errorf("taken: %+v, %v; want %+v", got, err, want)
		}
	}

	gone, one, two := log(9, 0), log(1, 1), log(2, 2)
	enter(9, with(gone, 1, "attended"), 0, false)
	enter(9, with(gone, -1, "attended"), 0, false)
	enter(1, with(one, 1, "attended", "announced"), 3, true)
	enter(2, with(two, 1, "attended"), 3, false)
	holds(gone)
	holds(one, "some", "attended", "announced")
	holds(two, "some", "some", "attended")
	wait(t, q, 1)
	enter(2, with(two, 3, "attended"), 4, true)
	enter(2, with(two, 4, "attended"), 5, true) // and is there already
	wait(t, q, 1, 2)

	take(Held{User: user(9), SupportID: "s"}, with(gone, 1, "joined"), Taking{})
	take(Held{User: user(1), SupportID: "s"}, with(gone, -1, "joined"), Taking{})
	take(Held{User: user(1), SupportID: "s"}, with(one, 2, "joined"), Taking{Length: 4})
	wait(t, q, 1, 2)
	take(Held{User: user(1), SupportID: "s"}, with(one, 4, "attended", "joined"), Taking{Length: 6, Taken: true})
	wait(t, q, 2)
	if won, _, err := q.Claim(ctx, user(2).ChatID, user(2).UserID, "vika"); !won || err != nil {
		t.Fatal(won, err)
	}
	take(Held{User: user(2), Agent: "dodo", SupportID: "s"}, with(two, 5, "joined"), Taking{Lost: true})
	holds(two, "some", "some", "attended", "attended", "attended")
	take(Held{User: user(2), Agent: "vika", SupportID: "s"}, with(two, 5, "joined"), Taking{Length: 6, Taken: true})
	holds(two, "some", "some", "attended", "attended", "attended", "joined")
	wait(t, q)
	if won, _, err := q.Claim(ctx, user(2).ChatID, user(2).UserID, "dodo"); won || err != nil {
		t.Error("can be had still:", won, err)
	}
}
