package redisdb

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// farAway is the round trip from which the store counts as far away.
	farAway = 5 * time.Millisecond
	// maxFlights is the maximum number of concurrent pipelines to such a store. The pool of
	// go-redis has two more connections.
	maxFlights = 8
)

// trips records the latest round trips to the store.
type trips struct {
	latest   [4]time.Duration // used only by the monitor
	n        int
	shortest atomic.Int64 // of latest
}

// add adds a round trip.
func (t *trips) add(d time.Duration) {
	t.latest[t.n%len(t.latest)] = d
	t.n++
	t.shortest.Store(int64(slices.Min(t.latest[:min(t.n, len(t.latest))])))
}

// distant reports whether the store is far away.
func (db *DB) distant() bool { return db.trips.shortest.Load() >= int64(farAway) }

// flights returns the maximum number of concurrent pipelines of client.
func flights(client redis.UniversalClient) int {
	size := 0
	switch c := client.(type) {
	case *redis.Client:
		size = c.Options().PipelinePoolSize
	case *redis.ClusterClient:
		size = c.Options().PipelinePoolSize
	}
	if size <= 0 {
		return maxFlights
	}
	return max(1, min(size-2, maxFlights))
}

// connectAhead makes the connections that all flights together need, because a flight has no time for
// the several round trips of a new connection.
func (db *DB) connectAhead() error {
	ctx, cancel := context.WithTimeout(db.ctx, connectTimeout)
	defer cancel()
	switch client := db.Client().(type) {
	case *redis.ClusterClient:
		return client.ForEachMaster(ctx, db.connectAll)
	case *redis.Client:
		return db.connectAll(ctx, client)
	}
	return nil
}

func (db *DB) connectAll(ctx context.Context, client *redis.Client) error {
	stats := client.PoolStats()
	pipes, others := 0, 0
	if int(stats.PipelineStats.TotalConns) < db.flights {
		pipes = db.flights
	}
	if stats.TotalConns < minOthers {
		others = minOthers
	}
	errs := make([]error, pipes+others)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			if i < others {
				errs[i] = client.Ping(ctx).Err()
				return
			}
			pipe := client.Pipeline()
			pipe.Ping(ctx)
			_, errs[i] = pipe.Exec(ctx)
		})
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// minOthers is the number of connections for commands outside of pipelines.
const minOthers = 2
