// Package redisdb is the connection to the store. It opens what a URL names
// (one Redis, a Sentinel group or a Cluster), watches whether it answers, tells
// its time, and lets concurrent callers share pipelines.
//
// It knows no keys and no events: package broker publishes through it, packages
// lobby and chat keep their data through it. What they call their keys and channels
// passes through Key, so that deployments with different prefixes share a store.
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
	// ioTimeout bounds one whole pipeline, and other requests on a connection that
	// is there.
	ioTimeout = 1500 * time.Millisecond
	// replyTimeout bounds one write and one read, also those that make a connection.
	replyTimeout = 2500 * time.Millisecond
	// connectTimeout bounds a request that may need a new connection: its dial, TLS,
	// HELLO, AUTH and SELECT take a round trip each.
	connectTimeout = 6 * time.Second
	// defaultPatience is how long Do waits when its context has no deadline.
	defaultPatience = 5 * time.Second
)

var (
	// ErrUnavailable says that the store could not take something before the
	// deadline: it was unreachable, or answered that it cannot take anything now.
	// It comes wrapped with the cause.
	ErrUnavailable = errors.New("redis: unavailable")
	// ErrClosed says that the DB has been closed.
	ErrClosed = errors.New("redis: closed")

	errStarting = errors.New("redis: not connected yet")
)

// DB is a connection to the store. All methods may be called concurrently.
type DB struct {
	client redis.UniversalClient
	log    *slog.Logger
	prefix string // of every key and channel
	tls    TLS
	trials []Trial
	base   time.Time // when Open was called, with a monotonic reading
	origin time.Time // the same as plain UTC, on which Now builds

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // flusher and monitor

	metrics metrics

	queue   queue
	flights int           // pipelines that may be under way at a time
	probe   chan struct{} // asks the monitor to look at once
	trips   trips

	down   atomic.Pointer[error] // nil: ready
	offset atomic.Int64          // store clock minus local clock, ns
	synced atomic.Bool           // offset has been measured
	timed  chan struct{}         // closed then
	last   atomic.Int64          // latest result of Now since base, ns
}

// Open parses url and starts connecting. Its forms are
//
//	redis://[user:password@]host[:port][/db]     one Redis; rediss:// with TLS
//	unix://[user:password@]/path/to.sock[?db=n]  one Redis on a socket
//	redis://sentinel:26379/db?master_name=name[&addr=host:port…]
//	redis://node:6379?addr=host:port[&addr=…]    a Cluster
//
// with the query options of go-redis. Only a malformed URL is an error, and that
// error never shows a password: whether the store is there is told by Ready, for
// a server may start before its store does. log may be nil.
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
	var err error
	if db.client, err = newClient(ctx, url, db.tls); err != nil {
		cancel()
		return nil, err
	}
	db.flights = flights(db.client)
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

// TLS names PEM files for the connections, all optional. They are read again at
// every connect.
type TLS struct {
	CA        string // certificates that the servers' must be signed with
	Cert, Key string // the client's own
}

// WithTLS makes all connections use TLS if it names any file, whatever the scheme of
// the URL. Open returns an error about a file that cannot be used.
func WithTLS(files TLS) Option { return func(db *DB) { db.tls = files } }

// A Trial makes commands that a store executes for nothing: they change no data that
// counts, and need the rights that the commands of the DB's users need. A store that
// refuses one is not ready. full asks for all of them, also those that write.
type Trial func(ctx context.Context, db *DB, full bool) []redis.Cmder

// WithTrial has the DB make a trial whenever it looks whether the store is there.
func WithTrial(t Trial) Option { return func(db *DB) { db.trials = append(db.trials, t) } }

// Key is what a key or channel of this deployment is called in the store.
func (db *DB) Key(name string) string { return db.prefix + name }

// Client returns the client for what shares no pipelines, such as scripts. It
// does not retry: an error may mean that the command was executed or not. Without
// a deadline in the context a command ends within about 7 s.
func (db *DB) Client() redis.UniversalClient { return db.client }

// Close fails the calls that wait with ErrClosed, closes all connections and
// joins the goroutines; a pipeline in flight is waited for, 1.5 s at most. A
// second call does nothing.
func (db *DB) Close() error {
	if !db.queue.close() {
		return nil
	}
	db.cancel()
	db.wg.Wait()
	db.queue.refused.Wait()
	if err := db.client.Close(); err != nil {
		return fmt.Errorf("redis: close: %w", err)
	}
	return nil
}
