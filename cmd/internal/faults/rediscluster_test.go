package faults_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
)

// electedWithin is how soon a group of Redis servers is to be in service again after its
// primary has died: 2 s until it is given up for dead, and an election.
const electedWithin = 12 * time.Second

// newClusterWorld is a world whose store is a Redis Cluster with a replica for each of
// three masters.
func newClusterWorld(t *testing.T, broker string) (*world, *brokertest.RedisCluster) {
	t.Helper()
	c := brokertest.StartReplicatedCluster(t, 3)
	w := newGroupWorld(t, broker)
	w.keepIn(redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs(), MaxRedirects: 10, DisableIdentity: true, Protocol: 2}), c.URL())
	return w, c
}

// newGroupWorld is a world whose store is still to come.
func newGroupWorld(t *testing.T, broker string) *world {
	t.Helper()
	w := &world{T: t, broker: broker}
	if broker == "nats" {
		w.nats = startNATS(t)
		w.urls = append(w.urls, "NATS_URL="+w.nats.url())
	}
	return w
}

// staff is two servers of each kind, with traffic, users who wait, and agents who watch.
type staff struct {
	*world
	servers []*server
	traffic *traffic
	waiting []waiter
	agents  []watcher
}

func (w *world) staff(s scale, env ...string) *staff {
	w.Helper()
	chats := []*server{w.startChat(env...), w.startChat(env...)}
	lobbies := []*server{w.startLobby(env...), w.startLobby(env...)}
	f := &staff{world: w, servers: append(chats, lobbies...), traffic: w.talk(s)}
	f.waiting = w.waiters(10, chats...)
	f.agents = w.watchers(f.waiting)
	return f
}

// recovers wants all to be well soon after a fault that has begun at a time and may last
// for so long.
func (f *staff) recovers(what string, began time.Time, within time.Duration) {
	f.Helper()
	f.traffic.flows("after "+what, within-time.Since(began))
	flows := time.Since(began)
	f.shows("after "+what, within-time.Since(began), f.agents, f.waiting)
	f.Logf("%s: messages flow in all chats after %v, queues are right after %v", what, flows.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if cluster, ok := f.store.(*redis.ClusterClient); ok { // which makes it look where everything is now
		if err := cluster.ForEachMaster(f.ctx(), func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() }); err != nil {
			f.Fatal(err)
		}
	}
	f.traffic.converges("after "+what, began, time.Now())
}

// settles ends the traffic. No socket may have ended, and no agent may have got anything
// twice.
func (f *staff) settles() counts {
	f.Helper()
	total := f.traffic.settle(15 * time.Second)
	if want := 2 * len(f.traffic.chats); total.sockets != want {
		f.Errorf("%d sockets for %d participants: the faults have cost some", total.sockets, want)
	}
	f.correct(f.agents)
	f.alive(f.servers...)
	return total
}

// Masters of a Redis Cluster die, that of the queue first, and their replicas take over.
// Meanwhile the whole Cluster refuses, unless cluster-require-full-coverage is off.
func TestClusterMasterDies(t *testing.T) {
	s := begin(t)
	t.Parallel()
	for _, broker := range s.groupBrokers {
		t.Run(broker, func(t *testing.T) {
			t.Parallel()
			w, cluster := newClusterWorld(t, broker)
			w.mayLose = true
			f := w.staff(s)
			for i, key := range []string{"{lobby}:users", f.traffic.chats[0].key()} {
				dying := cluster.Owner(key)
				others := slices.DeleteFunc(slices.Clone(f.traffic.chats), func(c *conversation) bool { return cluster.Owner(c.key()) == dying })
				refused, killed := refusals(others), time.Now()
				dying.Kill()
				cluster.Promoted(dying)
				f.Logf("a replica was promoted %v after the kill", time.Since(killed).Round(time.Millisecond))
				f.recovers(fmt.Sprintf("the death of master %d", i), killed, electedWithin)
				f.Logf("%d messages of chats on the other masters were refused", refusals(others)-refused)
				cluster.Restart(dying)
			}
			f.settles()
		})
	}
}

// Masters of a Redis Cluster that live are replaced by their replicas (CLUSTER FAILOVER), that of the queue first.
// Nothing is lost, since each waits for its replica.
func TestClusterSwitch(t *testing.T) {
	s := begin(t)
	t.Parallel()
	for _, broker := range s.groupBrokers {
		t.Run(broker, func(t *testing.T) {
			t.Parallel()
			w, cluster := newClusterWorld(t, broker)
			f := w.staff(s)
			for i, key := range []string{"{lobby}:users", f.traffic.chats[0].key()} {
				began := time.Now()
				cluster.Switch(cluster.Owner(key))
				f.recovers(fmt.Sprintf("master %d was replaced", i), began, electedWithin)
			}
			f.settles()
		})
	}
}

func (c *conversation) key() string { return "chat:{" + c.ChatID + "}" }

// Slots move from master to master under traffic: that of a chat and that of the queue one
// by one, so that clients are sent on by ASK for a while and by MOVED afterwards, and many
// as a node is added and removed. Nothing is lost, and nobody is refused for long.
func TestClusterReshards(t *testing.T) {
	s := begin(t)
	t.Parallel()
	w, cluster := newClusterWorld(t, "redis")
	f := w.staff(s)
	chat, queue := f.traffic.chats[0].key(), "{lobby}:users"
	began := time.Now()
	cluster.MoveSlot(chat, cluster.OtherMaster(chat), func() { f.recovers("a chat's slot has begun to move", began, electedWithin) })
	f.recovers("a chat's slot has moved", time.Now(), electedWithin)
	// Redis runs no script on several keys of a slot that is moving, unless all are there.
	cluster.MoveSlot(queue, cluster.OtherMaster(queue), func() {})
	f.recovers("the queue's slot has moved", time.Now(), electedWithin)
	began = time.Now()
	added := cluster.Add(s.slots)
	f.recovers("a node was added", began, time.Minute)
	began = time.Now()
	cluster.Remove(added)
	f.recovers("it was removed", began, time.Minute)
	f.settles()
}
