package faults_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
)

// newSentinelWorld is a world whose store is a Sentinel group.
func newSentinelWorld(t *testing.T, broker string, replicas int) (*world, *brokertest.RedisSentinel) {
	t.Helper()
	g := brokertest.StartRedisSentinel(t, replicas)
	w := newGroupWorld(t, broker)
	w.keepIn(redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: g.Sentinels(), DisableIdentity: true, Protocol: 2}), g.URL())
	return w, g
}

// The primary of a Sentinel group dies, together with the sentinel that the URL names
// first; the next one is cut off: it answers nobody for a while, and comes
// back believing to be the primary.
func TestSentinelFailover(t *testing.T) {
	s := begin(t)
	t.Parallel()
	for _, broker := range s.groupBrokers {
		t.Run(broker, func(t *testing.T) {
			t.Parallel()
			w, group := newSentinelWorld(t, broker, 2)
			w.mayLose = true
			f := w.staff(s)

			group.KillSentinel()
			wait(w.Context(), time.Second)
			f.Logf("%d messages were refused until here", refusals(f.traffic.chats))
			began := time.Now()
			dead := group.Primary()
			dead.Kill()
			group.Failover(dead)
			f.recovers("the death of the primary", began, electedWithin)
			group.Restart(dead)

			began = time.Now()
			frozen := group.Primary()
			frozen.Freeze()
			group.Failover(frozen)
			f.recovers("the primary was cut off", began, electedWithin)
			began = time.Now()
			frozen.Thaw()
			f.recovers("it came back", began, electedWithin)
			group.Follow()
			f.settles()
		})
	}
}

// A primary that lives is replaced (SENTINEL FAILOVER), again and again. It goes on for some seconds as if nothing had
// happened, and loses what it is told then. So logs are shorter afterwards than what servers have seen of them. With
// REDIS_WAIT at the number of replicas nothing is confirmed meanwhile, and nothing is lost.
func TestSentinelSwitch(t *testing.T) {
	s := begin(t)
	t.Parallel()
	for name, way := range map[string]struct {
		broker string
		env    []string
	}{
		"plain": {broker: "redis"}, "with NATS": {broker: "nats"}, "with REDIS_WAIT": {"redis", []string{"REDIS_WAIT=2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, group := newSentinelWorld(t, way.broker, 2)
			w.mayLose = way.env == nil
			events, env := w.hooked()
			f := w.staff(s, append(env, way.env...)...)
			within := electedWithin
			if !w.mayLose {
				within *= 2 // the former primary has to follow first, after ten seconds
			}
			for range s.switches {
				began := time.Now()
				group.Switch()
				f.recovers("a planned failover", began, within)
				group.Follow()
			}
			f.settles()
			events.haveHistories(f.traffic)
		})
	}
}

// refusals counts the messages of these chats that were refused and sent again so far.
func refusals(chats []*conversation) (n int) {
	for _, c := range chats {
		for _, p := range []*participant{c.user, c.agent} {
			p.mu.Lock()
			n += p.refusals
			p.mu.Unlock()
		}
	}
	return n
}
