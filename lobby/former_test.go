package lobby

import (
	_ "embed"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
)

//go:embed testdata/former.lua
var formerSource string

// former is a server whose script knows no agents, on the same keys.
type former struct {
	t      *testing.T
	store  redis.UniversalClient
	lease  int64
	script *redis.Script
}

func (f *former) run(operation string, args ...any) []any {
	f.t.Helper()
	line := append([]any{operation, slow.ChatTTL.Milliseconds(), f.lease, ""}, args...)
	reply, err := f.script.Run(f.t.Context(), f.store, queueKeys[:9], line...).Slice()
	if err != nil {
		f.t.Fatal(operation, err)
	}
	return reply
}

func (f *former) add(u User) {
	f.t.Helper()
	text := fmt.Sprintf(`{"username":%q,"userId":%q,"chatId":%q}`, u.Username, u.UserID, u.ChatID)
	f.run("add", u.ChatID, u.UserID, text, 0, text)
}

// TestFormerScript: during an upgrade, old and new servers share a queue. To the old ones an offer
// is a claim, and their users are assigned like any others.
func TestFormerScript(t *testing.T) {
	cfg := assigning(AssignRoundRobin)
	onEachStore(t, cfg, func(t *testing.T, q *Queue, store redis.UniversalClient) {
		ctx := t.Context()
		old := &former{t, store, q.lease.Milliseconds(), redis.NewScript(formerSource)}
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		old.add(user(1))
		check(q.Add(ctx, user(2)))
		old.add(user(3))
		wait(t, q, 1, 2, 3)
		sits(t, q, "vika", at(1, 2))
		if got := offers(t, q); got != "user 1 to vika, user 2 to vika" {
			t.Fatalf("offered: %s", got)
		}
		if got := old.run("claim", user(2).ChatID, user(2).UserID, "dodo", 1000)[4]; got != "lost" {
			t.Errorf("an old server has claimed who is offered: %v", got)
		}
		if got := old.run("sync", "", 0)[4].([]any)[2].([]any); len(got) != 1 {
			t.Errorf("an old server shows %q", got)
		}
		// It takes one of them, and ends the offer of the other.
		old.run("taken", user(1).ChatID)
		store.ZAdd(ctx, queueKeys[3], redis.Z{Score: 1, Member: user(2).ChatID})
		store.ZAdd(ctx, queueKeys[staffKey+7], redis.Z{Score: 1, Member: user(2).ChatID}, redis.Z{Score: 1, Member: user(1).ChatID})
		old.run("sync", "", 0)
		if held, claimed, offered := load(t, q, "vika"); held != 0 || claimed != 0 || offered > 1 {
			t.Errorf("%d chats, %d claims, %d offers count", held, claimed, offered)
		}
		wait(t, q, 2)
		check(q.Remove(ctx, user(2).ChatID))
		old.run("remove", user(3).ChatID)
		store.ZAdd(ctx, queueKeys[staffKey+7], redis.Z{Score: 1, Member: user(3).ChatID})
		if got := offers(t, q); got != "" {
			t.Errorf("offered: %s", got)
		}
		if _, _, offered := load(t, q, "vika"); offered != 0 {
			t.Errorf("%d offers count", offered)
		}
	})
}
