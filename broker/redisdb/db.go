// Package redisdb is the connection to the store. It opens the store at a URL (one Redis, a Sentinel
// group or a Cluster), checks that it answers, provides its time, and lets concurrent callers share
// pipelines.
//
// It defines no keys and no events. Package broker publishes through it, and packages lobby and chat
// store their data through it. All names of keys and channels pass through Key, so that deployments
// with different prefixes can share a store.
package redisdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Bounds of all I/O with the store.
const (
	dialTimeout = 2 * time.Second
	// ioTimeout bounds one whole pipeline, and other requests on an existing connection.
	ioTimeout = 1500 * time.Millisecond
	// replyTimeout bounds one write and one read, including those that make a connection.
	replyTimeout = 2500 * time.Millisecond
	// connectTimeout bounds a request that may need a new connection, whose dial, TLS, HELLO,
	// AUTH and SELECT take a round trip each.
	connectTimeout = 6 * time.Second
	// defaultPatience is how long Do waits when its context has no deadline.
	defaultPatience = 5 * time.Second
)

var (
	// ErrUnavailable means that the store did not accept something before the deadline: it was
	// unreachable, or answered that it cannot work now. It is wrapped with the cause.
	ErrUnavailable = errors.New("redis: unavailable")
	// ErrClosed means that the DB is closed.
	ErrClosed = errors.New("redis: closed")

	errStarting = errors.New("redis: not connected yet")
)

// DB is a connection to the store. It is safe for concurrent use.
type DB struct {
	client atomic.Pointer[redis.UniversalClient]
	// cluster makes a client for a Cluster from a URL that does not name one, nil for other URLs.
	cluster func() (redis.UniversalClient, error)
	log     *slog.Logger
	prefix  string // of every key and channel
	tls     TLS
	trials  []Trial
	// replicas is how many of them confirm a call.
	replicas int
	sentinel bool         // the store is a Sentinel group
	primary  atomic.Value // string: the address of its primary
	base     time.Time    // when Open was called, with a monotonic reading
	origin   time.Time    // the same as plain UTC, on which Now builds

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // flusher and monitor

	metrics metrics

	queue   queue
	flights int           // maximum number of concurrent pipelines
	probe   chan struct{} // makes the monitor probe at once
	trips   trips

	histories histories
	slots     slotMap

	down   atomic.Pointer[error] // nil if ready
	offset atomic.Int64          // store clock minus local clock, ns
	synced atomic.Bool           // offset was measured
	timed  chan struct{}         // closed then
	last   atomic.Int64          // latest result of Now since base, ns
}

// Open parses url and starts connecting. Its forms are
//
//	redis://[user:password@]host[:port][/db]     one Redis, or any node of a Cluster; rediss:// with TLS
//	unix://[user:password@]/path/to.sock[?db=n]  one Redis on a socket
//	redis://sentinel:26379/db?master_name=name[&addr=host:port…]
//	redis://node:6379?addr=host:port[&addr=…]    a Cluster, by several of its nodes
//
// with the query options of go-redis. Only a malformed URL is an error, and its text never shows a
// password. A server may start before its store does; Ready tells whether the store is available.
// log may be nil.
func Open(url string, log *slog.Logger, options ...Option) (*DB, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	now := time.Now()
	db := &DB{
		log:     log,
		base:    now,
		origin:  now.Round(0).UTC(),
		ctx:     ctx,
		cancel:  cancel,
		metrics: newMetrics(),
		queue:   queue{wake: make(chan struct{}, 1)},
		probe:   make(chan struct{}, 1),
		timed:   make(chan struct{}),
	}
	for _, option := range options {
		option(db)
	}
	client, err := newClient(ctx, url, db.tls)
	if err != nil {
		cancel()
		return nil, err
	}
	db.setClient(client)
	if isSingle(url) {
		db.cluster = func() (redis.UniversalClient, error) { return newClusterClient(ctx, url, db.tls) }
	}
	db.sentinel = isSentinel(url)
	db.flights = flights(client)
	db.down.Store(&errStarting)
	db.wg.Go(db.flush)
	db.wg.Go(db.monitor)
	return db, nil
}

// An Option changes how a DB is opened.
type Option func(*DB)

// Prefix sets the first part of every key and channel: with "shop" the key "users"
// is "shop:users". Empty, as by default, it adds nothing.
func Prefix(prefix string) Option {
	return func(db *DB) {
		if prefix != "" {
			db.prefix = prefix + ":"
		}
	}
}

// TLS names PEM files for the connections, all optional. They are read again for every connection.
type TLS struct {
	CA        string // CA certificates to check the servers against
	Cert, Key string // client certificate and key
}

// WithTLS makes all connections use TLS if it names any file, whatever the scheme of
// the URL. Open returns an error about a file that cannot be used.
func WithTLS(files TLS) Option { return func(db *DB) { db.tls = files } }

// A Trial returns the arguments of commands that test the store: they leave no data, and need the same
// permissions as the commands of the DB's users. A store that refuses one is not ready. full asks for
// all of them, including those that write.
type Trial func(db *DB, full bool) [][]any

// WithTrial makes the DB run a trial with each probe of the store.
func WithTrial(t Trial) Option { return func(db *DB) { db.trials = append(db.trials, t) } }

// Key returns the name in the store of a key or channel of this deployment.
func (db *DB) Key(name string) string { return db.prefix + name }

// Part names the server that has a key: a master of a Cluster, as far as is known. It is empty where one
// server has all keys.
func (db *DB) Part(key string) string {
	cluster, ok := db.Client().(*redis.ClusterClient)
	if !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(db.ctx, ioTimeout)
	defer cancel()
	node, err := cluster.MasterForKey(ctx, key) // this only looks at the map of the Cluster
	if err != nil {
		return ""
	}
	return node.Options().Addr
}

// Client returns the client for commands that do not share pipelines. It does not retry: after an
// error, the command may or may not have been executed. Without a deadline in the context, a command
// ends within about 7 s.
//
// The client of a Cluster that the URL does not show as one replaces another client before the DB is ready.
func (db *DB) Client() redis.UniversalClient { return *db.client.Load() }

func (db *DB) setClient(client redis.UniversalClient) {
	db.awaitReplicas(client)
	db.watchMap(client)
	db.client.Store(&client)
}

// Close fails waiting calls with ErrClosed, closes all connections and joins the goroutines. It waits
// up to 1.5 s for a pipeline in flight. A second call does nothing.
func (db *DB) Close() error {
	if !db.queue.close() {
		return nil
	}
	db.cancel()
	db.wg.Wait()
	db.queue.refused.Wait()
	if err := db.Client().Close(); err != nil {
		return fmt.Errorf("redis: close: %w", err)
	}
	return nil
}
