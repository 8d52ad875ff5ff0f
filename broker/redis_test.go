package broker_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"livesupport/broker"
	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRedisEmbedded(t *testing.T) {
	brokertest.Run(t, func(t testing.TB) brokertest.Harness {
		return redisHarness{url: brokertest.StartEmbeddedRedis(t).URL()}
	})
}

func TestRedisReal(t *testing.T) {
	brokertest.Run(t, func(t testing.TB) brokertest.Harness {
		return redisHarness{url: brokertest.StartRedisServer(t).URL()}
	})
}

// redisHarness makes brokers for the Redis at url, with a prefix.
type redisHarness struct{ url, prefix string }

func (h redisHarness) Broker(t testing.TB) broker.Broker {
	t.Helper()
	db, err := redisdb.Open(h.url, nil, redisdb.Prefix(h.prefix))
	if err != nil {
		t.Fatal(err)
	}
	b := broker.NewRedis(db, nil)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close broker: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("close db: %v", err)
		}
	})
	return b
}

func (h redisHarness) Proxied(t testing.TB) (broker.Broker, brokertest.Fault) {
	t.Helper()
	proxy := brokertest.StartProxy(t, strings.TrimPrefix(h.url, "redis://"))
	return redisHarness{"redis://" + proxy.Addr(), h.prefix}.Broker(t), proxy
}

// sentinelHarness makes brokers that are led to their Redis by a sentinel.
type sentinelHarness struct{ *brokertest.RedisServer }

func (h sentinelHarness) Broker(t testing.TB) broker.Broker {
	t.Helper()
	return redisHarness{url: brokertest.SentinelFor(t, h.Addr())}.Broker(t)
}

// Proxied puts the network between the client and the Redis. The sentinel says that the Redis is at the proxy.
func (h sentinelHarness) Proxied(t testing.TB) (broker.Broker, brokertest.Fault) {
	t.Helper()
	proxy := brokertest.StartProxy(t, h.Addr())
	return redisHarness{url: brokertest.SentinelFor(t, proxy.Addr())}.Broker(t), proxy
}

func TestRedisSentinel(t *testing.T) {
	brokertest.Run(t, func(t testing.TB) brokertest.Harness {
		return sentinelHarness{brokertest.StartRedisServer(t)}
	})
}

// TestRedisSilentConnection checks that the subscriptions' own connection is given up when it dies
// silently, even if the connections of the DB are fine.
func TestRedisSilentConnection(t *testing.T) {
	t.Parallel()
	proxy := brokertest.StartProxy(t, strings.TrimPrefix(brokertest.StartEmbeddedRedis(t).URL(), "redis://"))
	db, err := redisdb.Open("redis://"+proxy.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	lost := make(logged, 10)
	b := broker.NewRedis(db, slog.New(slog.NewTextHandler(lost, nil)))
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	lost.await(t, "connected", 5*time.Second)
	lost.never(t, "lost", 4500*time.Millisecond) // idle, but answering pings
	proxy.Stall()
	lost.await(t, "no answer on the subscriptions' connection", 5*time.Second)
}

// logged is a log that can be read while it is written.
type logged chan string

func (l logged) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func (l logged) await(t *testing.T, text string, within time.Duration) {
	t.Helper()
	for timeout := time.After(within); ; {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return
			}
		case <-timeout:
			t.Fatalf("%q was not logged within %v", text, within)
		}
	}
}

func (l logged) never(t *testing.T, text string, within time.Duration) {
	t.Helper()
	for timeout := time.After(within); ; {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				t.Fatalf("logged: %s", line)
			}
		case <-timeout:
			return
		}
	}
}

// TestRedisStoresNoSignals checks that signals leave no key behind, and that nothing connects for
// them before somebody listens.
func TestRedisStoresNoSignals(t *testing.T) {
	server := brokertest.StartRedisServer(t)
	db, err := redisdb.Open(server.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := broker.NewRedis(db, nil)
	t.Cleanup(func() { _ = b.Close() })
	awaitReady(t, b, 5*time.Second)
	pubsub := func() int {
		list, err := db.Client().ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(list) {
			if strings.Contains(line, " flags=P ") {
				n++
			}
		}
		return n
	}
	subscribe(t, b, "chat:one")
	if n := pubsub(); n != 1 {
		t.Errorf("%d connections for pub/sub before anybody listens to signals", n)
	}
	awaitSignal(t, b, b)
	if n := pubsub(); n != 2 {
		t.Errorf("%d connections for pub/sub", n)
	}
	if n, err := db.Client().DBSize(t.Context()).Result(); n != 0 || err != nil {
		t.Errorf("the store has %d keys (%v)", n, err)
	}
}

// TestRedisPrefixOfSignals checks that two deployments on one Redis do not hear each other's
// signals.
func TestRedisPrefixOfSignals(t *testing.T) {
	server := brokertest.StartRedisServer(t)
	signalsKeepTheirDeployment(t, func(prefix string) broker.Broker {
		db, err := redisdb.Open(server.URL(), nil, redisdb.Prefix(prefix))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		b := broker.NewRedis(db, nil)
		t.Cleanup(func() { _ = b.Close() })
		return b
	})
}
