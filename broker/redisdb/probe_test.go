package redisdb_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
)

// TestProbeAsksOnce: each master of a Cluster is asked for its replication id once in a probe, that with the clock too.
func TestProbeAsksOnce(t *testing.T) {
	t.Parallel()
	cluster := brokertest.StartRedisCluster(t)
	db := openReady(t, cluster.URL())
	var nodes []*redis.Client
	for _, addr := range cluster.Addrs() {
		client := redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true})
		t.Cleanup(func() { _ = client.Close() })
		nodes = append(nodes, client)
	}
	calls := func(client *redis.Client, command string) (n int) {
		stats, err := client.Info(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(stats) {
			if counts, ok := strings.CutPrefix(line, "cmdstat_"+command+":"); ok {
				if _, err := fmt.Sscanf(counts, "calls=%d,", &n); err != nil {
					t.Fatal(err)
				}
			}
		}
		return n
	}
	time.Sleep(200 * time.Millisecond) // what was asked at first only
	for _, client := range nodes {
		if err := client.ConfigResetStat(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(5 * time.Second)
	probes := 0
	for i, client := range nodes {
		info, clock := calls(client, "info"), calls(client, "time") // ours counts after its answer
		t.Logf("node %d was asked for information %d times, for the time %d times", i, info, clock)
		if probes += clock; clock > 0 && info > clock+1 { // a probe may be under way at either end
			t.Errorf("node %d was asked for information %d times in %d probes", i, info, clock)
		}
	}
	if probes < 2 || db.Ready() != nil {
		t.Errorf("%d probes, %v", probes, db.Ready())
	}
}
