package backend_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

// chatIsGone wants every Join to be told so.
func (w *world) chatIsGone(v *visitor) {
	w.Helper()
	v.supportName = "Vika"
	for _, join := range []obj{v.asUser(), with(v.asUser(), "supportId", strings.Repeat("a", 32)), v.asSupport("Vika")} {
		c := w.chat(v)
		c.send("Join", join)
		c.expectExpired(v)
	}
}

// storeForgets wants no key of the store to mention the visitor any more.
func (w *world) storeForgets(v *visitor) {
	w.Helper()
	var left string
	defer func() {
		if w.Failed() {
			w.Logf("left in the store: %s", left)
		}
	}()
	w.eventually("nothing of the chat in the store", func() bool {
		left = w.mentioned(v)
		return left == ""
	})
}

// chatExpires waits until the store has no key of the chat's name.
func (w *world) chatExpires(v *visitor) {
	w.Helper()
	store := w.redis()
	w.eventually("no key of the chat", func() bool {
		keys, err := store.Keys(context.Background(), "*"+v.chatID+"*").Result()
		if err != nil {
			w.Fatal(err)
		}
		return len(keys) == 0
	})
}

// mentioned names a key that mentions the visitor in its name or its value.
func (w *world) mentioned(v *visitor) string {
	w.Helper()
	ctx, store := context.Background(), w.redis()
	keys, err := store.Keys(ctx, "*").Result()
	if err != nil {
		w.Fatal(err)
	}
	for _, key := range keys {
		kind, err := store.Type(ctx, key).Result()
		if err != nil {
			w.Fatal(err)
		}
		var value any
		switch kind {
		case "string":
			value, err = store.Get(ctx, key).Result()
		case "list":
			value, err = store.LRange(ctx, key, 0, -1).Result()
		case "hash":
			value, err = store.HGetAll(ctx, key).Result()
		case "set":
			value, err = store.SMembers(ctx, key).Result()
		case "zset":
			value, err = store.ZRange(ctx, key, 0, -1).Result()
		case "none": // gone meanwhile
			continue
		default:
			w.Fatalf("key %s is a %s", key, kind)
		}
		if err != nil && err.Error() != "redis: nil" {
			w.Fatal(err)
		}
		if content := key + " " + fmt.Sprint(value); strings.Contains(content, v.chatID) || strings.Contains(content, v.userID) {
			return content
		}
	}
	return ""
}

// after wants d to have passed since start, and not much more. The embedded
// Redis lets a key go by a tick of its clock too early.
func (w *world) after(start time.Time, d time.Duration) {
	w.Helper()
	if took := time.Since(start); took < d-200*time.Millisecond || took > d+patience {
		w.Fatalf("after %v instead of %v", took, d)
	}
}

func TestScenarioExpiry(t *testing.T) {
	t.Parallel()
	const ttl = max(2, slowness) * time.Second // in which a chat must be set up
	tune := func(c *backend.Config) { c.ChatTTL = ttl }
	inEveryPlace(t, shared(tune, scenarios{
		"a waiting user's chat does not expire": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			user.expectNothingFor(2 * ttl)
			user.said("still here")
			support := w.support(v, "Vika")
			support.expect("ChatHistory", obj{"messages": anything})
			user.expectSupportJoined()
		},
		"a ChatMessage renews, from either side": func(w *world) {
			v, user, support := w.couple()
			var start time.Time
			for range 2 {
				pass(ttl / 2)
				user.said("and", support)
				pass(ttl / 2)
				start = time.Now()
				support.said("so on", user)
			}
			user.expectExpired(v)
			w.after(start, ttl)
			support.expectExpired(v)
		},
		"a Join renews, of either side": func(w *world) {
			v, user, support := w.couple()
			start := time.Now()
			for _, role := range []string{"User", "Support", "User", "Support"} {
				pass(ttl / 2)
				start = time.Now()
				c := w.chat(v)
				c.rejoins(role)
				c.expectHistory()
				c.close()
			}
			user.expectExpired(v)
			w.after(start, ttl)
			support.expectExpired(v)
		},
		"pongs do not renew": func(w *world) {
			start := time.Now()
			v, user, support := w.couple()
			for time.Since(start) < ttl*3/4 {
				user.sendText("pong:user")
				support.send("Pong", obj{"from": "Support"})
				pass(ttl / 8)
			}
			user.expectExpired(v)
			w.after(start, ttl)
			support.expectExpired(v)
		},
	}), alone(tune, scenarios{
		"a registered chat lives that long unless its user connects": func(w *world) {
			never, inTime := w.register("never"), w.register("in time")
			pass(ttl / 2)
			w.user(inTime)
			w.storeForgets(never)
			w.chatIsGone(never)
		},
		"the time starts again when the waiting ends": func(w *world) {
			v := w.register("Nika")
			user := w.user(v)
			user.expectNothingFor(ttl * 3 / 4)
			start := time.Now()
			support := w.support(v, "Vika")
			user.expectSupportJoined()
			user.expectExpired(v)
			w.after(start, ttl)
			support.expectExpired(v)
			w.storeForgets(v)
			w.chatIsGone(v)
		},
		"the time starts again when the waiting user's last socket closes": func(w *world) {
			v := w.register("Nika")
			user, tab := w.user(v), w.user(v)
			user.expectNothingFor(ttl * 3 / 4)
			user.close()
			tab.expectNothingFor(ttl * 3 / 4)
			tab.close()
			pass(ttl / 2)
			again := w.user(v)                    // it still lives, and waits again
			again.expectNothingFor(ttl + ttl*5/8) // not in step with any renewal
			start := time.Now()
			again.close()
			w.chatExpires(v)
			w.after(start, ttl)
			w.storeForgets(v)
			w.chatIsGone(v)
		},
		"every socket gets ChatExpired and 1000": func(w *world) {
			v, user, support := w.couple()
			tab, desk := w.chat(v), w.chat(v)
			tab.rejoins("User")
			tab.expectHistory()
			desk.rejoins("Support")
			desk.expectHistory()
			user.said("last words", support, tab, desk)
			each([]*client{user, support, tab, desk}, func(c *client) { c.expectExpired(v) })
			w.storeForgets(v)
			w.chatIsGone(v)
		},
		"a support alone: the chat expires too": func(w *world) {
			v := w.register("Nika")
			start := time.Now()
			support := w.support(v, "Vika")
			support.expectExpired(v)
			w.after(start, ttl)
			w.storeForgets(v)
		},
		"history, queue and all are gone though nobody is connected": func(w *world) {
			v, user, support := w.couple()
			user.said("hello", support)
			user.close()
			support.close()
			w.storeForgets(v)
			w.chatIsGone(v)
		},
		"the store forgets by itself even if every server died": func(w *world) {
			fresh, waiting, written := w.register("fresh"), w.register("waiting"), w.register("has written")
			w.user(waiting).ignoreRest()
			user := w.user(written)
			user.ignoreRest()
			user.said("hello")
			v, a, b := w.couple()
			a.said("hello", b)
			each([]*client{a, b}, (*client).ignoreRest)
			agent := w.agent()
			agent.ignoreRest()
			agent.send("JoinUser", waiting.claim())
			agent.expectRemoved(waiting)
			for _, b := range w.backends {
				stop(w.T, b)
			}
			for _, gone := range []*visitor{fresh, waiting, written, v} {
				w.storeForgets(gone)
			}
		},
	}))
}
