package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"livesupport/broker/brokertest"
	"livesupport/cmd/internal/testlock"
	"livesupport/web/api/apitest"
)

// brokers are what the tests run on where the broker matters.
var brokers = []string{"redis", "nats"}

// scale is how much the tests do.
type scale struct {
	chats        int           // under traffic at once
	interval     time.Duration // between two messages of one side
	kills        int
	outages      []time.Duration // of Redis
	outage       time.Duration   // of the broker
	away         time.Duration   // of the archive
	backlog      int             // ended chats that wait for it
	fault        time.Duration   // how long a connection is faulty; less than it takes to give a server up for dead
	manyChats    int
	unjoined     int // sockets that never join
	mutated      int // frames
	hostileTime  time.Duration
	guessing     time.Duration // how long ids are guessed
	filed        int           // chats with a file each
	groupBrokers []string      // where the store is a group of servers
	slots        int           // of a Cluster that move to a new node
	natsKills    int           // servers of a cluster that are killed
	natsCuts     int           // links between them that are cut
	switches     int           // primaries that are replaced while they live
}

var (
	short = scale{
		chats: 30, interval: 200 * time.Millisecond, kills: 3,
		outages: []time.Duration{time.Second, 8 * time.Second}, outage: 8 * time.Second, away: 12 * time.Second, backlog: 3_000, fault: 7 * time.Second,
		manyChats: 5_000, unjoined: 2_000, mutated: 10_000, hostileTime: 6 * time.Second, guessing: 5 * time.Second, filed: 1_000, groupBrokers: []string{"redis"}, slots: 400, natsKills: 1, natsCuts: 1, switches: 1,
	}
	long = scale{
		chats: 100, interval: 200 * time.Millisecond, kills: 10,
		outages: []time.Duration{time.Second, 20 * time.Second}, outage: 20 * time.Second, away: time.Minute, backlog: 100_000, fault: 12 * time.Second,
		manyChats: 100_000, unjoined: 2_000, mutated: 100_000, hostileTime: 30 * time.Second, guessing: time.Minute, filed: 10_000, groupBrokers: brokers, slots: 4096, natsKills: 3, natsCuts: 2, switches: 3,
	}
)

// binaries is the folder with the commands, built when the first test wants one.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "livesupport-faults")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	zerolog.SetGlobalLevel(zerolog.Disabled) // the proxies' log of every toxic
	if form() != "off" {
		testlock.Hold()
	}
	code := apitest.Exit(m.Run(), false)
	os.RemoveAll(dir)
	os.Exit(code)
}

// form is how much is asked for: short, long or off.
func form() string {
	form := os.Getenv("FAULTS")
	switch {
	case form != "":
		return form
	case os.Getenv("CI") == "true":
		return "short"
	default:
		return "off"
	}
}

// begin skips the test unless faults are asked for, and returns its scale.
func begin(t *testing.T) scale {
	t.Helper()
	switch form() {
	case "off":
		t.Skip("takes minutes: set FAULTS=short or FAULTS=long")
	case "short", "long":
	default:
		t.Fatalf("FAULTS=%q: want short, long or off", form())
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv(brokertest.RequireRedis) == "1" {
			t.Fatalf("%s=1, but there is no redis-server: %v", brokertest.RequireRedis, err)
		}
		t.Skip("no redis-server installed")
	}
	if form() == "long" {
		return long
	}
	return short
}

// eachBroker runs a test on every broker, in a world of its own, in parallel
// with others of this kind.
func eachBroker(t *testing.T, test func(w *world, s scale)) {
	s := begin(t)
	t.Parallel()
	for _, broker := range brokers {
		t.Run(broker, func(t *testing.T) {
			t.Parallel()
			test(newWorld(t, broker), s)
		})
	}
}

// build builds a command once per test run.
var build = func() func(t *testing.T, pkg string) string {
	var mu sync.Mutex
	built := map[string]string{}
	return func(t *testing.T, pkg string) string {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if built[pkg] == "" {
			path := filepath.Join(binaries, filepath.Base(strings.TrimSuffix(pkg, "/v2")))
			goBuild(t, path, pkg)
			built[pkg] = path
		}
		return built[pkg]
	}
}()

func goBuild(t *testing.T, path, pkg string, flags ...string) {
	t.Helper()
	args := append([]string{"build", "-buildvcs=false", "-o", path}, flags...)
	if out, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

// buildWithClockOff builds a command whose wall clock is off by so much: Go asks
// the kernel for the time without the C library, so nothing outside of the
// process can be put in between. The monotonic clock stays as it is.
func buildWithClockOff(t *testing.T, pkg string, off time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	const line = "sec, nsec, mono := runtimeNow()\n"
	const now = "func Now() Time {\n\t" + line
	if strings.Count(string(source), now) != 1 {
		t.Fatalf("%s: time.Now looks different in this Go", original)
	}
	changed := strings.Replace(string(source), now, fmt.Sprintf("%s\tsec += %d\n", now, int64(off.Seconds())), 1)
	replacement := filepath.Join(dir, "time.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replacement}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{replacement: []byte(changed), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	goBuild(t, path, pkg, "-overlay", filepath.Join(dir, "overlay.json"))
	return path
}

// eventually polls until the condition holds.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	if !poll(within, holds) {
		t.Fatalf("not within %v: %s", within, what)
	}
}

func poll(within time.Duration, holds func() bool) bool {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(within); ; <-ticker.C {
		if holds() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// errgroup joins the errors of goroutines.
type errgroup struct {
	group sync.WaitGroup
	mu    sync.Mutex
	errs  []error
}

func (g *errgroup) Go(f func() error) {
	g.group.Go(func() {
		if err := f(); err != nil {
			g.mu.Lock()
			g.errs = append(g.errs, err)
			g.mu.Unlock()
		}
	})
}

func (g *errgroup) Wait() error {
	g.group.Wait()
	return errors.Join(g.errs...)
}
