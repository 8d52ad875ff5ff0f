package redisdb

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Node is a server of the store to Listen to. The zero Node is any server.
type Node struct{ client *redis.Client }

// Cluster reports whether the store is a Redis Cluster. It is known once AwaitTime has returned.
func (db *DB) Cluster() bool {
	_, ok := db.Client().(*redis.ClusterClient)
	return ok
}

// Home returns the master of a Cluster that has the slot of a sharded channel, according to the map of
// the Cluster, which is at most about a second old and may be wrong: see Elsewhere.
func (db *DB) Home(ctx context.Context, channel string) (Node, error) {
	cluster, ok := db.Client().(*redis.ClusterClient)
	if !ok {
		return Node{}, errNoCluster
	}
	client, err := cluster.MasterForKey(ctx, channel)
	if err != nil {
		return Node{}, unavailable(err)
	}
	return Node{client}, nil
}

// Moved returns a channel that is closed when the map of the Cluster has changed: another master has some
// of the slots. The map that Home uses may be the former one for another moment; Reload makes it the new one.
func (db *DB) Moved() <-chan struct{} { return db.slots.moved.next() }

// slotMap is the hook that sees the map of a Cluster whenever go-redis reads it from a node.
type slotMap struct {
	sum   atomic.Uint64 // of the latest map
	moved occasion
}

// watchMap puts the hook into a client that is not used yet.
func (db *DB) watchMap(client redis.UniversalClient) {
	if cluster, ok := client.(*redis.ClusterClient); ok {
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(&db.slots) })
	}
}

// DialHook implements redis.Hook.
func (m *slotMap) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (m *slotMap) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements redis.Hook.
func (m *slotMap) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if slots, ok := cmd.(*redis.ClusterSlotsCmd); ok && err == nil {
			if sum := sumOf(slots.Val()); m.sum.Swap(sum) != sum {
				m.moved.happens()
			}
		}
		return err
	}
}

// sumOf is different for different maps, but not for the orders in which nodes tell the same one.
func sumOf(slots []redis.ClusterSlot) (sum uint64) {
	for _, s := range slots {
		h := fnv.New64a()
		_, _ = fmt.Fprint(h, s.Start, s.End) // never fails
		if len(s.Nodes) > 0 {
			_, _ = h.Write([]byte(s.Nodes[0].Addr))
		}
		sum += h.Sum64()
	}
	return sum
}

var errNoCluster = errors.New("redis: not a Cluster")

// Reload reads the map of the Cluster anew, if it can.
func (db *DB) Reload(ctx context.Context) {
	if cluster, ok := db.Client().(*redis.ClusterClient); ok {
		_ = cluster.ForEachMaster(ctx, func(context.Context, *redis.Client) error { return nil })
	}
}

// Elsewhere reports whether an error of a Listener is the reply to a subscription that this node has not
// accepted because another one has the slot, or none at present. The Listener can still be used.
func Elsewhere(err error) bool {
	for _, prefix := range []string{"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// recognize replaces the client for a single Redis by one for a Cluster if the server says that it is a
// node of one. asked says that the connection stands since.
func (db *DB) recognize(ctx context.Context) (asked bool, err error) {
	client, ok := db.Client().(*redis.Client)
	if !ok || db.cluster == nil {
		return false, nil
	}
	reply, err := client.Do(ctx, "hello").Slice()
	switch {
	case err != nil && isReply(err):
		return true, nil // it has no HELLO, or the user no right to it
	case err != nil:
		return false, err
	}
	for i := 0; i+1 < len(reply); i += 2 {
		if reply[i] != "mode" || reply[i+1] != "cluster" {
			continue
		}
		cluster, err := db.cluster()
		if err != nil {
			return false, fmt.Errorf("redis: this is a node of a Cluster: %w", err)
		}
		db.setClient(cluster)
		db.log.Info("the store is a Redis Cluster")
		return false, client.Close()
	}
	return true, nil
}

// onEachNode groups cmds by the master of a Cluster that has their first key, and calls f with each
// group, concurrently.
func onEachNode(ctx context.Context, cluster *redis.ClusterClient, cmds []redis.Cmder, f func(*redis.Client, []redis.Cmder) error) error {
	byNode := make(map[*redis.Client][]redis.Cmder)
	for _, cmd := range cmds {
		key, _ := cmd.Args()[1].(string)
		node, err := cluster.MasterForKey(ctx, key)
		if err != nil {
			return unavailable(err)
		}
		byNode[node] = append(byNode[node], cmd)
	}
	var wg sync.WaitGroup
	errs := make(chan error, len(byNode))
	for node, cmds := range byNode {
		wg.Go(func() { errs <- f(node, cmds) })
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}
