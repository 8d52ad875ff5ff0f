package redisdb_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
)

// lines is a log to be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// openLogged is open with a log.
func openLogged(t *testing.T, url string) (*redisdb.DB, *lines) {
	t.Helper()
	log := new(lines)
	db, err := redisdb.Open(url, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, log
}

// TestEvictionIsWarnedOf when a store would drop keys, and only then.
func TestEvictionIsWarnedOf(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		warn bool
	}{
		"any key":           {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, true},
		"those that end":    {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"}, true},
		"none":              {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "noeviction"}, false},
		"there is no limit": {[]string{"--maxmemory-policy", "allkeys-lru"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			db, log := openLogged(t, brokertest.StartRedisServer(t, test.args...).URL())
			eventually(t, "Ready", func() bool { return db.Ready() == nil })
			if test.warn {
				eventually(t, "a warning", func() bool { return strings.Contains(log.String(), "policy="+test.args[3]) })
				return
			}
			if err := db.Close(); err != nil { // joins who would warn
				t.Fatal(err)
			}
			if strings.Contains(log.String(), "drops keys") {
				t.Errorf("warned of: %s", log)
			}
		})
	}
}

// TestTooManyClients: Redis says so and hangs up, which must not be told as a
// broken pipe.
func TestTooManyClients(t *testing.T) {
	server := brokertest.StartRedisServer(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true, Protocol: 2, PoolSize: 1, PipelinePoolSize: -1})
	t.Cleanup(func() { _ = admin.Close() })
	limit := func(n string) {
		t.Helper()
		if err := admin.ConfigSet(context.Background(), "maxclients", n).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	db, log := openLogged(t, server.URL())
	const said = "max number of clients reached"
	eventually(t, "Ready tells it", func() bool { err := db.Ready(); return err != nil && strings.Contains(err.Error(), said) })
	if !strings.Contains(log.String(), said) {
		t.Errorf("log: %s", log)
	}
	limit("1000")
	eventually(t, "Ready", func() bool { return db.Ready() == nil })
}

// TestProtectedMode: a Redis in protected mode says why it hangs up on other machines. The test
// puts a server in its place, because this machine is not another one.
func TestProtectedMode(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			_, _ = conn.Write([]byte("-DENIED Redis is running in protected mode because protected mode is enabled and no password is set\r\n"))
			_ = conn.Close()
		}
	}()
	db, log := openLogged(t, "redis://"+listener.Addr().String())
	const said = "DENIED Redis is running in protected mode"
	eventually(t, "Ready tells it", func() bool { err := db.Ready(); return err != nil && strings.Contains(err.Error(), said) })
	if !strings.Contains(log.String(), said) {
		t.Errorf("log: %s", log)
	}
}
