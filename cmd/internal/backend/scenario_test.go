package backend_test

import (
	"context"
	"flag"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/brokertest"
	"livesupport/cmd/internal/backend"
	"livesupport/cmd/internal/testlock"
	"livesupport/web/api/apitest"
)

// The scenarios are the steps of the protocol page. They know a URL and a WebSocket client
// that is not the server's, and nothing of the code behind. Each runs in every place.

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests mostly wait, unless the race detector slows them; crowd bounds what
	// the scenarios do meanwhile.
	if parallel := flag.Lookup("test.parallel"); slowness == 1 && parallel.Value.String() == parallel.DefValue {
		if err := flag.Set("test.parallel", "4"); err != nil {
			panic(err)
		}
	}
	testlock.Hold()
	os.Exit(apitest.Exit(m.Run(), true, "event test"))
}

// patience bounds every wait for something that must happen.
const patience = slowness * 5 * time.Second

// quiet is how long a socket is watched for something that must not happen.
const quiet = 200 * time.Millisecond

// A place is a backend with servers in front of it.
type place struct {
	name  string
	open  func(t *testing.T, cfg *backend.Config) // starts the backend and says where it is
	split bool                                    // two chat servers and two lobbies instead of one process with both
	park  int                                     // web.Options.ParkAfter
}

// In some places a socket keeps its goroutine. In others it gets one for every answer to a
// heartbeat, also before the Join.
const neverParked, parkedSoon = -1, 1

var places = []place{
	{"embedded/one process", embeddedRedis, false, neverParked},
	{"embedded/two of each", embeddedRedis, true, parkedSoon},
	{"redis-server/one process", redisServer, false, 0},
	{"Sentinel/two of each", sentinel, true, neverParked},
	{"embedded with NATS/two of each", embeddedNATS, true, parkedSoon},
}

func embeddedRedis(t *testing.T, cfg *backend.Config) {
	t.Helper()
	cfg.RedisURL = brokertest.StartEmbeddedRedis(t).URL()
}

func embeddedNATS(t *testing.T, cfg *backend.Config) {
	t.Helper()
	embeddedRedis(t, cfg)
	cfg.Broker, cfg.NATSURL = "nats", brokertest.StartEmbeddedNATS(t).URL()
}

// redisServer starts a redis-server with an append-only file. Without the program it skips
// the place, or fails if a redis-server is required.
func redisServer(t *testing.T, cfg *backend.Config) {
	t.Helper()
	cfg.RedisURL = brokertest.StartRedisServer(t).URL()
}

// sentinel is a redisServer to which a sentinel leads.
func sentinel(t *testing.T, cfg *backend.Config) {
	t.Helper()
	cfg.RedisURL = brokertest.SentinelFor(t, brokertest.StartRedisServer(t).Addr())
}

// at names a store that the scenario itself has started.
func at(redisURL string) func(*testing.T, *backend.Config) {
	return func(_ *testing.T, cfg *backend.Config) { cfg.RedisURL = redisURL }
}

// defaults returns the configuration of a command that was told only where to listen.
func defaults(t *testing.T) backend.Config {
	t.Helper()
	nothing := func(string) (string, bool) { return "", false }
	cfg, err := backend.Parse("livesupport", nil, nothing)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ChatAddr, cfg.LobbyAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.LogLevel = slog.LevelError
	return cfg
}

// A tuning changes the configuration of a deployment's servers.
type tuning func(*backend.Config)

func unlimited(c *backend.Config) { c.MessageRate, c.FrameRate, c.ByteRate = 0, 0, 0 }

// A deployment has the servers of one place.
type deployment struct {
	redisURL       string
	natsURL        string   // empty if Redis carries the events
	archiveURL     string   // empty if nothing is kept
	webhookURLs    []string // that are told what happens in chats
	chats, lobbies []string // addresses
	backends       []*backend.Backend
}

// start opens the place until the end of the test, and waits until it is ready.
func (p place) start(t *testing.T, tune tuning) *deployment {
	t.Helper()
	d := p.launch(t, tune)
	w := d.world(t)
	for _, addr := range slices.Concat(d.chats, d.lobbies) {
		w.eventually("ready", func() bool { return w.get(addr, "/readyz").status == 200 })
	}
	return d
}

// launch is start without the wait.
func (p place) launch(t *testing.T, tune tuning) *deployment {
	t.Helper()
	cfg := defaults(t)
	cfg.ParkAfter = p.park
	p.open(t, &cfg)
	d := &deployment{redisURL: cfg.RedisURL, natsURL: cfg.NATSURL}
	if tune != nil {
		tune(&cfg)
	}
	d.archiveURL, d.webhookURLs = cfg.ArchiveURL, cfg.WebhookURLs
	kinds := []backend.Parts{backend.Chat | backend.Lobby}
	if p.split {
		kinds = []backend.Parts{backend.Chat, backend.Chat, backend.Lobby, backend.Lobby}
	}
	for _, parts := range kinds {
		b, err := backend.Start(context.Background(), cfg, parts)
		if err != nil {
			t.Fatalf("start: %v", err)
		}
		t.Cleanup(func() { stop(t, b) })
		d.backends = append(d.backends, b)
		if parts&backend.Chat != 0 {
			d.chats = append(d.chats, b.ChatAddr())
		}
		if parts&backend.Lobby != 0 {
			d.lobbies = append(d.lobbies, b.LobbyAddr())
		}
	}
	return d
}

// stop shuts a backend down as SIGTERM does, within the protocol's time limit.
func stop(t *testing.T, b *backend.Backend) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// A world is a deployment in the view of one scenario. Whatever the scenario opens is
// spread over the servers in turn.
type world struct {
	*testing.T
	*deployment
	chatTurn, lobbyTurn atomic.Int32
}

func (d *deployment) world(t *testing.T) *world { return &world{T: t, deployment: d} }

// nextChat and nextLobby take the servers in turn.
func (w *world) nextChat() string  { return w.chats[int(w.chatTurn.Add(1)-1)%len(w.chats)] }
func (w *world) nextLobby() string { return w.lobbies[int(w.lobbyTurn.Add(1)-1)%len(w.lobbies)] }

// eventually polls until the condition holds.
func (w *world) eventually(what string, holds func() bool) {
	w.Helper()
	for deadline := time.Now().Add(6 * patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("still not: %s", what)
		}
	}
}

// pass lets time pass, for scenarios that are about time.
func pass(d time.Duration) { time.Sleep(d) }

// redis is an ordinary client of the store.
func (w *world) redis() *redis.Client {
	w.Helper()
	var client *redis.Client
	if failover, err := redis.ParseFailoverURL(w.redisURL); err == nil && failover.MasterName != "" {
		client = redis.NewFailoverClient(failover)
	} else if options, err := redis.ParseURL(w.redisURL); err == nil {
		client = redis.NewClient(options)
	} else {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = client.Close() })
	return client
}

// scenarios has scenarios by name. A name is a sentence of the protocol in short.
type scenarios map[string]func(w *world)

// A group prepares scenarios for one place and returns the function that runs them.
type group func(t *testing.T, p place) (run func())

// shared is a group of scenarios that do not disturb each other, so they share one
// deployment.
func shared(tune tuning, all scenarios) group {
	return func(t *testing.T, p place) func() {
		d := p.start(t, tune)
		return func() {
			atOnce(t, all, func(t *testing.T, run func(*world)) { run(d.world(t)) })
		}
	}
}

// alone is a group of scenarios that look at the whole queue, or stop something. Each has
// its own servers and store.
func alone(tune tuning, all scenarios) group {
	return func(t *testing.T, p place) func() {
		return func() {
			atOnce(t, all, func(t *testing.T, run func(*world)) { run(p.start(t, tune).world(t)) })
		}
	}
}

// inEveryPlace runs the groups. Scenarios mostly wait for frames or for time to pass, so
// they run at the same time, however few processors there are.
func inEveryPlace(t *testing.T, groups ...group) {
	t.Helper()
	var running sync.WaitGroup
	for _, p := range places {
		running.Go(func() {
			t.Run(p.name, func(t *testing.T) {
				var running sync.WaitGroup
				defer running.Wait()
				for _, prepare := range groups {
					running.Go(prepare(t, p))
				}
			})
		})
	}
	running.Wait()
}

// oneByOne runs a group in one place after the other, with nothing else at the same time.
func oneByOne(t *testing.T, prepare group) {
	t.Helper()
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) { prepare(t, p)() })
	}
}

// crowd bounds the number of scenarios that run at the same time, so that times which they
// measure mean something on a small machine.
var crowd = make(chan struct{}, 32/slowness)

func atOnce(t *testing.T, all scenarios, run func(*testing.T, func(*world))) {
	t.Helper()
	var running sync.WaitGroup
	for _, name := range slices.Sorted(maps.Keys(all)) {
		running.Go(func() {
			crowd <- struct{}{}
			defer func() { <-crowd }()
			t.Run(name, func(t *testing.T) { run(t, all[name]) })
		})
	}
	running.Wait()
}
