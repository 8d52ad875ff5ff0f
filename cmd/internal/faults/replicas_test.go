package faults_test

import (
	"testing"
	"time"

	"livesupport/broker/brokertest"
)

// A primary loses its replicas, and dies a second later: the replica that takes over has
// missed what was written meanwhile. Without REDIS_WAIT this is lost, though people have
// seen it; with REDIS_WAIT=1 nobody has.
func TestReplicaThatIsBehind(t *testing.T) {
	s := begin(t)
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, s scale, env ...string) counts{
		"Sentinel": sentinelBehind,
		"Cluster":  clusterBehind,
	} {
		t.Run(name+" with REDIS_WAIT", func(t *testing.T) {
			t.Parallel()
			if total := harm(t, s, "REDIS_WAIT=1"); total.refusals == 0 {
				t.Error("nobody was told that the replicas were gone")
			}
		})
		t.Run(name+" without", func(t *testing.T) {
			t.Parallel()
			if form() == "short" {
				t.Skip("only in the long form: it shows what the others would miss")
			}
			if total := harm(t, s); total.lost == 0 {
				t.Error("nothing was lost: the replica was not behind")
			}
		})
	}
}

func sentinelBehind(t *testing.T, s scale, env ...string) counts {
	w, group := newSentinelWorld(t, "redis", 2)
	w.mayLose = len(env) == 0
	f := w.staff(s, env...)
	began := time.Now()
	dying := group.Primary()
	w.killBehind(dying)
	group.Failover(dying)
	f.recovers("the failover", began, electedWithin)
	return f.settles()
}

// In a Cluster the promoted replica has none itself until the dead master is back.
func clusterBehind(t *testing.T, s scale, env ...string) counts {
	w, cluster := newClusterWorld(t, "redis")
	w.mayLose = len(env) == 0
	f := w.staff(s, env...)
	began := time.Now()
	dying := cluster.Owner(f.traffic.chats[0].key())
	w.killBehind(dying)
	cluster.Promoted(dying)
	cluster.Restart(dying)
	f.recovers("the failover", began, 2*electedWithin)
	return f.settles()
}

// killBehind kills a primary whose replicas have not followed it for a second.
func (w *world) killBehind(primary *brokertest.RedisServer) {
	w.Helper()
	primary.Detach()
	wait(w.Context(), time.Second)
	primary.Kill()
}
