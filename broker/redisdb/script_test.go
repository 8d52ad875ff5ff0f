package redisdb_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
)

// The text of a script is sent to the store once, when the store does not know it. Whatever else is
// in the same call is executed once.
func TestScript(t *testing.T) {
	server := brokertest.StartRedisServer(t)
	db := openReady(t, server.URL())
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	add := redisdb.NewScript(`return redis.call('incrby', KEYS[1], ARGV[1])`)
	fail := redisdb.NewScript(`return redis.error_reply('NO such thing')`)
	sum := int64(0)
	run := func() {
		t.Helper()
		ctx := within(t, 5*time.Second)
		var cmds []redis.Cmder
		for i := range 3 {
			cmds = append(cmds, redis.NewIntCmd(ctx, add.Line(1, "sum", i+1)...), incr("calls"))
		}
		refused := redis.NewCmd(ctx, fail.Line(0)...)
		if err := db.Do(ctx, append(cmds, refused)...); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			sum += int64(i + 1)
			if cmd := cmds[2*i].(*redis.IntCmd); cmd.Err() != nil || cmd.Val() != sum {
				t.Errorf("script %d: %d %v, want %d", i, cmd.Val(), cmd.Err(), sum)
			}
		}
		if err := refused.Err(); err == nil || err.Error() != "NO such thing" {
			t.Errorf("an error of a script: %v", err)
		}
	}
	run()
	texts := calls(t, client, "eval")
	if texts == 0 {
		t.Error("no text has been sent")
	}
	run()
	if n := calls(t, client, "eval"); n != texts {
		t.Errorf("%d texts have been sent of scripts that the store knew", n-texts)
	}
	if err := client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	run()
	if n := client.Get(t.Context(), "calls").Val(); n != "9" {
		t.Errorf("what stands beside scripts was executed %s times, not 9", n)
	}
}

// calls returns how often the store has executed a command.
func calls(t *testing.T, client *redis.Client, command string) (n int) {
	t.Helper()
	stats, err := client.Info(context.Background(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	if _, after, found := strings.Cut(stats, "cmdstat_"+command+":calls="); found {
		_, _ = fmt.Sscanf(after, "%d", &n)
	}
	return n
}
