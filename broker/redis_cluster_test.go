package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker"
	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
)

func TestRedisCluster(t *testing.T) {
	brokertest.Run(t, func(t testing.TB) brokertest.Harness {
		return clusterHarness{brokertest.StartRedisCluster(t)}
	})
}

// clusterHarness makes brokers for a Cluster, of which they know one node.
type clusterHarness struct{ *brokertest.RedisCluster }

func (h clusterHarness) Broker(t testing.TB) broker.Broker {
	t.Helper()
	return redisHarness{url: h.Node()}.Broker(t)
}

func (h clusterHarness) Proxied(t testing.TB) (broker.Broker, brokertest.Fault) {
	t.Helper()
	proxy := brokertest.StartClusterProxy(t, h.RedisCluster)
	return redisHarness{url: proxy.URL()}.Broker(t), proxy
}

// TestRedisClusterSlotMoves: when slots go from master to master, their topics lose nothing without
// a gap. The third master neither gives nor takes a slot, so it hears of the move later than the
// two that do.
func TestRedisClusterSlotMoves(t *testing.T) {
	cluster := clusterHarness{brokertest.StartRedisCluster(t)}
	publisher, subscriber := cluster.Broker(t), cluster.Broker(t)
	awaitReady(t, publisher, 10*time.Second)
	awaitReady(t, subscriber, 10*time.Second)
	admin := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{strings.TrimPrefix(cluster.Node(), "redis://")}, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = admin.Close() })
	masters := clusterMasters(t, admin)
	var topics []string
	for i := range 12 {
		topics = append(topics, fmt.Sprintf("chat:moving-%d", i))
	}
	brokertest.NothingLostSilently(t, publisher, subscriber, topics, func() {
		for range 3 {
			for _, topic := range topics {
				moveSlot(t, admin, masters, "chat:{"+strings.TrimPrefix(topic, "chat:")+"}")
				time.Sleep(5 * time.Millisecond) // the publisher goes on meanwhile
			}
		}
	})
}

// A master of the Cluster.
type master struct {
	*redis.Client
	id string
}

func clusterMasters(t *testing.T, admin *redis.ClusterClient) (masters []master) {
	t.Helper()
	found := make(chan master, 100)
	err := admin.ForEachMaster(t.Context(), func(ctx context.Context, client *redis.Client) error {
		id, err := client.Do(ctx, "cluster", "myid").Text()
		found <- master{client, id}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	close(found)
	for m := range found {
		masters = append(masters, m)
	}
	return masters
}

// moveSlot moves the slot of a key, without its keys, from the master that has it to the next one.
func moveSlot(t *testing.T, admin *redis.ClusterClient, masters []master, key string) {
	t.Helper()
	slot, err := admin.ClusterKeySlot(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	from := -1
	await(t, 5*time.Second, func() (err error) {
		from = slices.IndexFunc(masters, func(m master) bool {
			err = m.Exists(t.Context(), key).Err()
			return err == nil
		})
		return err
	})
	to := masters[(from+1)%len(masters)]
	for _, m := range []struct {
		at   master
		what []any
	}{
		{to, []any{"importing", masters[from].id}},
		{masters[from], []any{"migrating", to.id}},
		{to, []any{"node", to.id}},
		{masters[from], []any{"node", to.id}},
	} {
		if err := m.at.Do(t.Context(), append([]any{"cluster", "setslot", slot}, m.what...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	// Two masters that take slots before they know of each other get the same epoch. One of them then gets a
	// higher one, and what it claims by that may leave a slot with nobody.
	await(t, 5*time.Second, func() error {
		var directions []string
		for _, m := range masters {
			if err := m.Exists(t.Context(), key).Err(); err != nil && !slices.Contains(directions, err.Error()) {
				directions = append(directions, err.Error())
			}
		}
		if len(directions) != 1 || to.Exists(t.Context(), key).Err() != nil {
			return fmt.Errorf("the masters do not agree on who has the slot: %q", directions)
		}
		return nil
	})
}

// TestRedisClusterPublishesInShards: only one node hears what is published to a chat, and the same
// holds for signals.
func TestRedisClusterPublishesInShards(t *testing.T) {
	cluster := clusterHarness{brokertest.StartRedisCluster(t)}
	db, err := redisdb.Open(cluster.Node(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := broker.NewRedis(db, nil)
	t.Cleanup(func() { _ = b.Close() })
	awaitReady(t, b, 10*time.Second)
	subscribe(t, b, "chat:one")
	b.Listen("chat:one", func([]byte) {}, nil)
	for range 100 {
		if err := b.Publish(t.Context(), "chat:one", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := b.Signal("chat:one", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	admin := db.Client().(*redis.ClusterClient)
	await(t, 5*time.Second, func() error {
		counts := make(chan [2]int, 100)
		err := admin.ForEachMaster(t.Context(), func(ctx context.Context, client *redis.Client) error {
			stats, err := client.Info(ctx, "commandstats").Result()
			counts <- [2]int{commandCalls(stats, "spublish"), commandCalls(stats, "publish")}
			return err
		})
		if err != nil {
			return err
		}
		close(counts)
		nodes, sharded := 0, 0
		for n := range counts {
			if n[1] != 0 {
				t.Fatalf("a node has %d ordinary publications", n[1])
			}
			if sharded += n[0]; n[0] >= 200 {
				nodes++
			}
		}
		if nodes != 1 || sharded > 210 { // and the trials of a new connection
			return fmt.Errorf("%d nodes have the publications, %d in all", nodes, sharded)
		}
		return nil
	})
}

func commandCalls(stats, command string) (n int) {
	if _, after, found := strings.Cut(stats, "cmdstat_"+command+":calls="); found {
		_, _ = fmt.Sscanf(after, "%d", &n)
	}
	return n
}
