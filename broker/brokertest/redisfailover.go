package brokertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// failoverAfter is how long a primary is silent before a group gives it up for dead.
const failoverAfter = 2 * time.Second

// StartReplicatedCluster is StartRedisCluster with a replica for each master. Its
// methods are for the test's goroutine.
func StartReplicatedCluster(t testing.TB, masters int) *RedisCluster {
	t.Helper()
	c := &RedisCluster{t: t}
	create := []string{"--cluster", "create"}
	for range 2 * masters {
		create = append(create, c.start().addr)
	}
	c.cli(append(create, "--cluster-replicas", "1")...)
	c.settle()
	return c
}

// start adds a node that belongs to no Cluster yet.
func (c *RedisCluster) start() *RedisServer {
	c.t.Helper()
	node := StartRedisServer(c.t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(port(c.t, FreeAddr(c.t))),
		"--cluster-node-timeout", strconv.FormatInt(failoverAfter.Milliseconds(), 10), "--repl-diskless-sync-delay", "0")
	c.nodes = append(c.nodes, node)
	return node
}

// cli runs redis-cli, which asks no questions.
func (c *RedisCluster) cli(args ...string) {
	c.t.Helper()
	if out, err := exec.Command("redis-cli", append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
		c.t.Fatalf("redis-cli %v: %v\n%s", args, err, out)
	}
}

// settle waits until all nodes that run agree on all slots and the replicas follow.
func (c *RedisCluster) settle() {
	c.t.Helper()
	eventually(c.t, 30*time.Second, "the cluster is whole", func() bool {
		nodes := c.running()
		shares := ""
		for _, n := range nodes {
			if !strings.Contains(n.ask("CLUSTER INFO"), "cluster_state:ok") {
				return false
			}
			seen := parseNodes(n.ask("CLUSTER NODES"))
			alive, here := 0, []string(nil)
			for _, other := range seen {
				if !other.failed {
					alive++
					here = append(here, fmt.Sprint(other.addr, other.master, other.slots))
				}
				if other.addr == n.addr && other.master != "" && !strings.Contains(n.info("replication"), "master_link_status:up") {
					return false
				}
			}
			slices.Sort(here)
			if alive != len(nodes) || shares != "" && shares != fmt.Sprint(here) {
				return false
			}
			shares = fmt.Sprint(here)
		}
		return true
	})
}

func (c *RedisCluster) running() (nodes []*RedisServer) {
	for _, n := range c.nodes {
		if n.cmd != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// member is a line of CLUSTER NODES.
type member struct {
	id, addr, master string // master is empty for a master
	failed           bool
	slots            [][2]int
}

func parseNodes(text string) (members []member) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 8 {
			continue
		}
		m := member{id: words[0], failed: strings.Contains(words[2], "fail") || strings.Contains(words[2], "handshake")}
		m.addr, _, _ = strings.Cut(words[1], "@")
		if words[3] != "-" {
			m.master = words[3]
		}
		for _, r := range words[8:] {
			if strings.HasPrefix(r, "[") { // on its way to another node
				continue
			}
			first, last, ok := strings.Cut(r, "-")
			if !ok {
				last = first
			}
			from, _ := strconv.Atoi(first)
			to, _ := strconv.Atoi(last)
			m.slots = append(m.slots, [2]int{from, to})
		}
		members = append(members, m)
	}
	return members
}

func (m member) has(slot int) bool {
	return slices.ContainsFunc(m.slots, func(r [2]int) bool { return r[0] <= slot && slot <= r[1] })
}

// members are the nodes as the first one that runs sees them.
func (c *RedisCluster) members() []member { return parseNodes(c.running()[0].ask("CLUSTER NODES")) }

func (c *RedisCluster) slot(key string) int {
	n, _ := strconv.Atoi(strings.Trim(c.running()[0].ask("CLUSTER KEYSLOT "+key), ":\r\n"))
	return n
}

// Owner is the master that has a key's slot.
func (c *RedisCluster) Owner(key string) *RedisServer {
	c.t.Helper()
	slot := c.slot(key)
	for _, m := range c.members() {
		if !m.failed && m.has(slot) {
			return c.node(m.addr)
		}
	}
	c.t.Fatalf("nobody has the slot of %s", key)
	return nil
}

func (c *RedisCluster) node(addr string) *RedisServer {
	return c.nodes[slices.IndexFunc(c.nodes, func(n *RedisServer) bool { return n.addr == addr })]
}

func (c *RedisCluster) id(n *RedisServer) string { return strings.TrimSpace(n.ask("CLUSTER MYID")) }

// Promoted waits until another master has the slots of one that is dead.
func (c *RedisCluster) Promoted(dead *RedisServer) {
	c.t.Helper()
	eventually(c.t, 20*time.Second, "a replica has been promoted", func() bool {
		for _, n := range c.running() {
			if !strings.Contains(n.ask("CLUSTER INFO"), "cluster_state:ok") {
				return false
			}
			for _, m := range parseNodes(n.ask("CLUSTER NODES")) {
				if m.addr == dead.addr && len(m.slots) > 0 {
					return false
				}
			}
		}
		return true
	})
}

// Switch makes a replica of a master that lives take over (CLUSTER FAILOVER): the master takes no writes until the
// replica has everything.
func (c *RedisCluster) Switch(master *RedisServer) {
	c.t.Helper()
	id := c.id(master)
	members := c.members()
	i := slices.IndexFunc(members, func(m member) bool { return m.master == id && !m.failed })
	if i < 0 {
		c.t.Fatal("the master has no replica")
	}
	if reply := c.node(members[i].addr).ask("CLUSTER FAILOVER"); !strings.HasPrefix(reply, "+OK") {
		c.t.Fatalf("CLUSTER FAILOVER: %q", reply)
	}
	c.Promoted(master)
}

// Restart starts a node again, which follows whoever has its slots now.
func (c *RedisCluster) Restart(n *RedisServer) {
	c.t.Helper()
	n.Restart()
	c.settle()
}

// MoveSlot moves the slot of a key to another master, as resharding does: open while
// meanwhile runs, with all its keys moved by then, so that who asks for one is sent to ask
// there (ASK), and finished after that (MOVED).
func (c *RedisCluster) MoveSlot(key string, to *RedisServer, meanwhile func()) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	slot, from := c.slot(key), c.Owner(key)
	source, target := c.admin(from), c.admin(to)
	defer func() { _, _ = source.Close(), target.Close() }()
	check(c.t, target.Do(ctx, "cluster", "setslot", slot, "importing", c.id(from)).Err())
	check(c.t, source.Do(ctx, "cluster", "setslot", slot, "migrating", c.id(to)).Err())
	for {
		keys, err := source.ClusterGetKeysInSlot(ctx, slot, 100).Result()
		check(c.t, err)
		if len(keys) == 0 {
			break
		}
		migrate := []any{"migrate", "127.0.0.1", port(c.t, to.addr), "", 0, 5000, "keys"}
		for _, k := range keys {
			migrate = append(migrate, k)
		}
		check(c.t, source.Do(ctx, migrate...).Err())
	}
	meanwhile()
	ctx, cancelEnd := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancelEnd()
	check(c.t, target.Do(ctx, "cluster", "setslot", slot, "node", c.id(to)).Err())
	check(c.t, source.Do(ctx, "cluster", "setslot", slot, "node", c.id(to)).Err())
	c.settle()
}

func (c *RedisCluster) admin(n *RedisServer) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: n.addr, DisableIdentity: true, Protocol: 2})
}

// OtherMaster is a master that does not have a key's slot.
func (c *RedisCluster) OtherMaster(key string) *RedisServer {
	c.t.Helper()
	slot := c.slot(key)
	for _, m := range c.members() {
		if !m.failed && m.master == "" && len(m.slots) > 0 && !m.has(slot) {
			return c.node(m.addr)
		}
	}
	c.t.Fatalf("only one master")
	return nil
}

// Add makes a new master and gives it so many slots of the others.
func (c *RedisCluster) Add(slots int) *RedisServer {
	c.t.Helper()
	first := c.running()[0].addr
	n := c.start()
	c.cli("--cluster", "add-node", n.addr, first)
	c.settle()
	c.cli("--cluster", "reshard", first, "--cluster-from", "all", "--cluster-to", c.id(n), "--cluster-slots", strconv.Itoa(slots))
	c.settle()
	return n
}

// Remove takes all slots from a master, and then the node out of the Cluster.
func (c *RedisCluster) Remove(n *RedisServer) {
	c.t.Helper()
	id := c.id(n)
	other := c.running()[slices.IndexFunc(c.running(), func(o *RedisServer) bool { return o != n })].addr
	c.cli("--cluster", "rebalance", other, "--cluster-weight", id+"=0")
	c.settle()
	c.cli("--cluster", "del-node", other, id)
	n.Kill()
	c.settle()
}

// Detach keeps the replicas of a server from following it, until it has ended: what it is
// told from now on is nowhere else.
func (s *RedisServer) Detach() {
	s.t.Helper()
	for _, command := range []string{"ACL SETUSER default -psync -sync", "CLIENT KILL TYPE replica"} {
		if reply := s.ask(command); strings.HasPrefix(reply, "-") || reply == "" {
			s.t.Fatalf("%s: %q", command, reply)
		}
	}
}

// Primary is the server that is in charge, as far as the group knows.
func (g *RedisSentinel) Primary() *RedisServer { return g.primary }

// Sentinels are the addresses of the sentinels that run.
func (g *RedisSentinel) Sentinels() (addrs []string) {
	for _, s := range g.sentinels {
		addrs = append(addrs, s.addr)
	}
	return addrs
}

// KillSentinel kills the sentinel that the URL names first.
func (g *RedisSentinel) KillSentinel() {
	g.t.Helper()
	g.sentinels[0].Kill()
	g.sentinels = g.sentinels[1:]
}

// Failover waits until the sentinels agree on another primary than the old one.
func (g *RedisSentinel) Failover(old *RedisServer) {
	g.t.Helper()
	eventually(g.t, 30*time.Second, "the sentinels agree on another primary", func() bool {
		addr := ""
		for _, s := range g.sentinels {
			_, state, _ := strings.Cut(s.info("sentinel"), "name=main,status=ok,address=")
			here, _, _ := strings.Cut(state, ",")
			if here == "" || here == old.addr || addr != "" && here != addr {
				return false
			}
			addr = here
		}
		i := slices.IndexFunc(g.replicas, func(r *RedisServer) bool { return r.addr == addr })
		g.primary, g.replicas[i] = g.replicas[i], old
		return true
	})
}

// Switch makes the sentinels put a replica in the place of the primary, which lives on and becomes a
// replica some seconds later. It returns the former primary when the sentinels agree.
func (g *RedisSentinel) Switch() *RedisServer {
	g.t.Helper()
	former := g.primary
	if reply := g.sentinels[0].ask("SENTINEL FAILOVER main"); !strings.HasPrefix(reply, "+OK") {
		g.t.Fatalf("SENTINEL FAILOVER: %q", reply)
	}
	g.Failover(former)
	return former
}

// Restart starts a server of the group again, which is a replica by now.
func (g *RedisSentinel) Restart(s *RedisServer) {
	g.t.Helper()
	s.Restart()
	g.Follow()
}

// Freeze stops the process without ending it: it keeps its connections, and answers
// nothing.
func (s *RedisServer) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (s *RedisServer) Thaw() { s.signal(syscall.SIGCONT) }

func (s *RedisServer) signal(signal os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Errorf("%v: %v", signal, err)
	}
}
