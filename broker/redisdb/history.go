package redisdb

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Replaced returns a channel that is closed when the store may have lost something that it had
// confirmed: a replica has taken over, or a server has come back with the data that it had saved. Redis
// gives its data a new name then, the replication id, which the monitor reads once a second. Where it
// cannot be read, every lost connection counts.
func (db *DB) Replaced() <-chan struct{} { return db.histories.replaced.next() }

// histories are the replication ids of the servers in charge. Only the monitor uses them.
type histories struct {
	known    []string
	begun    bool
	replaced occasion
}

// occasion is something that happens now and then, and that many wait for.
type occasion struct {
	mu   sync.Mutex
	come chan struct{} // nil before the first next
}

// next returns a channel that is closed when it happens.
func (o *occasion) next() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.come == nil {
		o.come = make(chan struct{})
	}
	return o.come
}

func (o *occasion) happens() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.come != nil {
		close(o.come)
		o.come = nil
	}
}

// follow takes the ids as they are now. returned says that the store was away before.
func (h *histories) follow(ids []string, returned bool) {
	fresh := slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(h.known, id) })
	if len(ids) == 0 || len(h.known) == 0 {
		fresh = returned
	}
	first := !h.begun
	h.known, h.begun = ids, true
	if fresh && !first {
		h.replaced.happens()
	}
}

// historiesOf asks every master of a Cluster for the id of its data. Those that do not tell it are left out; an
// error means that one has not answered.
func historiesOf(ctx context.Context, cluster *redis.ClusterClient) ([]string, error) {
	var mu sync.Mutex
	ids := []string{}
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "replication").Result()
		if err != nil && !isReply(err) {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		ids = appendHistory(ids, info)
		return nil
	})
	return ids, err
}

// appendHistory adds the id in a server's answer to INFO replication, if there is one.
func appendHistory(ids []string, info string) []string {
	for line := range strings.Lines(info) {
		if id, ok := strings.CutPrefix(line, "master_replid:"); ok {
			ids = append(ids, strings.TrimSpace(id))
		}
	}
	return ids
}
