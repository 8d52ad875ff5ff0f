package brokertest

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisSentinel is a primary with replicas, and three sentinels that watch them.
// Its methods are for the test's goroutine.
type RedisSentinel struct {
	t         testing.TB
	primary   *RedisServer
	replicas  []*RedisServer
	sentinels []*RedisServer
}

// StartRedisSentinel starts the processes, with so many replicas, as StartRedisServer
// does, and waits until they know each other.
func StartRedisSentinel(t testing.TB, replicas int) *RedisSentinel {
	t.Helper()
	g := &RedisSentinel{t: t, primary: StartRedisServer(t, "--repl-diskless-sync-delay", "0")}
	primary := strconv.Itoa(port(t, g.primary.addr))
	for range replicas {
		g.replicas = append(g.replicas, StartRedisServer(t, "--replicaof", "127.0.0.1", primary, "--repl-diskless-sync-delay", "0"))
	}
	g.Follow()
	for range 3 {
		file := filepath.Join(t.TempDir(), "sentinel.conf") // where it writes what it learns
		check(t, os.WriteFile(file, []byte("sentinel monitor main 127.0.0.1 "+primary+" 2\n"+
			"sentinel down-after-milliseconds main 2000\n"+
			"sentinel failover-timeout main 5000\n"), 0o600))
		g.sentinels = append(g.sentinels, StartRedisServer(t, file, "--sentinel"))
	}
	g.agree("address=" + g.primary.addr + ",slaves=" + strconv.Itoa(replicas) + ",sentinels=3")
	return g
}

// Follow waits until all replicas that run follow a primary. A sentinel that was stopped for two seconds, as on a
// busy machine, changes nothing for the next thirty.
func (g *RedisSentinel) Follow() {
	g.t.Helper()
	for _, r := range g.replicas {
		eventually(g.t, 45*time.Second, "the replica follows the primary", func() bool {
			return r.cmd == nil || strings.Contains(r.info("replication"), "master_link_status:up")
		})
	}
}

// agree waits until every sentinel reports this state of the group.
func (g *RedisSentinel) agree(state string) {
	g.t.Helper()
	eventually(g.t, 30*time.Second, "the sentinels agree on "+state, func() bool {
		for _, s := range g.sentinels {
			if !strings.Contains(s.info("sentinel"), "name=main,status=ok,"+state) {
				return false
			}
		}
		return true
	})
}

// URL returns the URL of the group, with its sentinels.
func (g *RedisSentinel) URL() string {
	return "redis://" + g.sentinels[0].addr + "?master_name=main" + others(g.sentinels)
}

// KillPrimary kills the primary and the first sentinel of the URL, as if both were on one
// machine that dies. By then a replica has everything that the primary has confirmed.
// KillPrimary returns when the sentinels have promoted a replica.
func (g *RedisSentinel) KillPrimary() {
	g.t.Helper()
	written := offset(g.primary)
	eventually(g.t, 10*time.Second, "a replica has what the primary has", func() bool {
		return slices.ContainsFunc(g.replicas, func(r *RedisServer) bool { return offset(r) >= written })
	})
	g.KillSentinel()
	dead := g.primary
	dead.Kill()
	g.Failover(dead)
}

// offset returns how much of the replication stream a server has.
func offset(s *RedisServer) (n int64) {
	_, rest, _ := strings.Cut(s.info("replication"), "\nmaster_repl_offset:")
	_, _ = fmt.Sscan(rest, &n)
	return n
}

// SentinelFor starts one sentinel that watches the server at an address, and returns a URL that leads there by the
// sentinel, which promotes nobody as long as the server has no replica.
func SentinelFor(t testing.TB, addr string) string {
	t.Helper()
	name := "at" + strconv.Itoa(port(t, addr)) // sentinels of one name believe each other
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	check(t, os.WriteFile(file, []byte(fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 1\n", name, port(t, addr))), 0o600))
	return StartRedisServer(t, file, "--sentinel").URL() + "?master_name=" + name
}

// RedisCluster is some nodes that share the slots.
type RedisCluster struct {
	t     testing.TB
	nodes []*RedisServer
}

// StartRedisCluster starts three nodes without replicas, as StartRedisServer does, and
// divides the slots among them.
func StartRedisCluster(t testing.TB) *RedisCluster {
	t.Helper()
	return StartRedisClusterOf(t, 3)
}

// StartRedisClusterOf is StartRedisCluster with so many nodes.
func StartRedisClusterOf(t testing.TB, masters int) *RedisCluster {
	t.Helper()
	c := &RedisCluster{t: t}
	create := []string{"--cluster", "create"}
	for range masters {
		create = append(create, c.start().addr)
	}
	c.cli(create...)
	return c
}

// URL returns a URL with all nodes.
func (c *RedisCluster) URL() string { return "redis://" + c.nodes[0].addr + "?" + others(c.nodes)[1:] }

// Addrs are those of the nodes.
func (c *RedisCluster) Addrs() (addrs []string) {
	for _, n := range c.nodes {
		addrs = append(addrs, n.addr)
	}
	return addrs
}

// Node returns the URL of one node, as if it were alone.
func (c *RedisCluster) Node() string { return c.nodes[0].URL() }

// EveryNodeHas reports whether every node has a key that matches the pattern.
func (c *RedisCluster) EveryNodeHas(pattern string) bool {
	for _, n := range c.nodes {
		if reply := n.ask("KEYS " + pattern); reply == "" || reply == "*0\r\n" {
			return false
		}
	}
	return true
}

// others returns all servers but the first as the query of a URL.
func others(servers []*RedisServer) string {
	var query strings.Builder
	for _, s := range servers[1:] {
		query.WriteString("&addr=" + url.QueryEscape(s.addr))
	}
	return query.String()
}
