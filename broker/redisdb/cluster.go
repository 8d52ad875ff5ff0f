package redisdb

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
