package embedded_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"livesupport/broker/embedded"
	"livesupport/broker/redisdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRedis(t *testing.T) {
	server, err := embedded.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	db, err := redisdb.Open(server.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client := db.Client()

	// TIME is the real time, for scripts too.
	const script = `local t = redis.call("TIME") return t[1] * 1000 + math.floor(t[2] / 1000)`
	checkTime := func() time.Time {
		t.Helper()
		outside, err := client.Time(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		inside, err := client.Eval(ctx, script, nil).Int64()
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string]time.Time{"TIME": outside, "TIME in a script": time.UnixMilli(inside)} {
			if d := time.Since(got); d.Abs() > time.Second {
				t.Errorf("%s is off by %v", name, d)
			}
		}
		return outside
	}
	before := checkTime()

	// Keys expire by themselves, not much too early and not late.
	const ttl = 500 * time.Millisecond
	start := time.Now()
	if err := client.Set(ctx, "key", "value", ttl).Err(); err != nil {
		t.Fatal(err)
	}
	for client.Get(ctx, "key").Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := client.Get(ctx, "key").Err(); err != redis.Nil {
		t.Fatal(err)
	}
	if lived := time.Since(start); lived < ttl-150*time.Millisecond || lived > ttl+time.Second {
		t.Errorf("a key of %v lived for %v", ttl, lived)
	}

	if passed := checkTime().Sub(before); passed < ttl-150*time.Millisecond {
		t.Errorf("in a key's life of %v, TIME went on by %v", ttl, passed)
	}
	server.Close()
	server.Close()
}
