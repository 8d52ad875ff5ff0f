package backend

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
)

// kept is a log that can be read while it is written.
type kept struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (k *kept) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Write(p)
}

// warnings are the lines at warn so far that are the neighbours'.
func (k *kept) warnings() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var lines []string
	for line := range strings.Lines(k.text.String()) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, "another ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// neighbour starts what finds the others, and returns its log.
func neighbour(t *testing.T, cfg Config, parts Parts) *kept {
	t.Helper()
	log := &kept{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	db, err := redisdb.Open(cfg.RedisURL, logger, redisdb.Prefix(cfg.Prefix))
	require.NoError(t, err)
	events, err := newBroker(cfg, db, logger)
	require.NoError(t, err)
	n := newNeighbours(cfg, parts, db, events, logger)
	t.Cleanup(func() {
		require.NoError(t, n.close())
		require.NoError(t, events.Close())
		require.NoError(t, db.Close())
	})
	return log
}

const clash = "give each its own PREFIX"

func TestNeighboursNoticeAnotherDeployment(t *testing.T) {
	nats := brokertest.StartEmbeddedNATS(t)
	for name, open := range map[string]func(t *testing.T) (a, b Config){
		"two databases of one Redis": func(t *testing.T) (a, b Config) {
			url := startRedis(t)
			return testConfig(t, url+"/0"), testConfig(t, url+"/1")
		},
		"one NATS": func(t *testing.T) (a, b Config) {
			a, b = testConfig(t, startRedis(t)), testConfig(t, startRedis(t))
			a.Broker, a.NATSURL, b.Broker, b.NATSURL = "nats", nats.URL(), "nats", nats.URL()
			return a, b
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := open(t)
			first := neighbour(t, a, Chat)
			second := neighbour(t, b, Lobby)
			for _, log := range []*kept{first, second} {
				require.Eventually(t, func() bool { return len(log.warnings()) > 0 }, 20*time.Second, 10*time.Millisecond)
				require.Contains(t, log.warnings()[0], clash)
			}
			// With a prefix they are apart. Who comes third finds the one of its own.
			b.Prefix = "shop"
			third := neighbour(t, b, Chat)
			b.ChatTTL = time.Minute
			fourth := neighbour(t, b, Chat)
			for _, log := range []*kept{third, fourth} {
				require.Eventually(t, func() bool { return len(log.warnings()) > 0 }, 20*time.Second, 10*time.Millisecond)
				require.NotContains(t, strings.Join(log.warnings(), ""), clash)
			}
			require.Len(t, first.warnings(), 1)
			require.Len(t, second.warnings(), 1)
		})
	}
}

func TestNeighboursNoticeOtherSettings(t *testing.T) {
	const other = "fedcba9876543210fedcba9876543210"
	for name, test := range map[string]struct {
		change        func(*Config)
		parts         Parts
		here, another string // what each logs; empty for nothing
	}{
		"a time": {
			func(c *Config) { c.ClaimTTL = time.Minute }, Lobby,
			"different time: set the same in all\" variable=CLAIM_TTL here=15s there=1m0s", "variable=CLAIM_TTL here=1m0s there=15s",
		},
		"the time of offers, which chat servers make as well": {
			func(c *Config) { c.OfferTTL = time.Minute }, Chat,
			"different time: set the same in all\" variable=OFFER_TTL here=20s there=1m0s", "variable=OFFER_TTL here=1m0s there=20s",
		},
		"assignment": {
			func(c *Config) { c.Assign = "least_busy" }, Lobby,
			"different value: set the same in all\" variable=ASSIGN here=off there=least_busy", "variable=ASSIGN here=least_busy there=off",
		},
		"assignment is the lobbies' alone": {
			func(c *Config) { c.Assign = "least_busy"; c.IdleTimeout = time.Hour }, Chat, "variable=IDLE_TIMEOUT", "variable=IDLE_TIMEOUT",
		},
		"no agents' secret": {
			func(c *Config) { c.AgentSecret = "" }, Lobby,
			"lacks a setting that is set here: set the same in all\" variable=AGENT_SECRET", "has a setting that is missing here: set the same in all\" variable=AGENT_SECRET",
		},
		"another secret": {func(c *Config) { c.AgentSecret = other }, Lobby, "different value: set the same in all\" variable=AGENT_SECRET", "variable=AGENT_SECRET"},
		"another visitors' secret": {
			func(c *Config) { c.VisitorSecret = other }, Chat, "variable=VISITOR_SECRET", "variable=VISITOR_SECRET",
		},
		"a lobby needs no visitors' secret": {func(c *Config) { c.VisitorSecret = ""; c.IdleTimeout = time.Hour }, Lobby, "variable=IDLE_TIMEOUT", "variable=IDLE_TIMEOUT"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t, startRedis(t))
			cfg.AgentSecret, cfg.VisitorSecret = testSecret, testSecret+"2"
			first := neighbour(t, cfg, Chat|Lobby)
			test.change(&cfg)
			second := neighbour(t, cfg, test.parts)
			for want, log := range map[string]*kept{test.here + " ": first, test.another + "  ": second} {
				require.Eventually(t, func() bool { return len(log.warnings()) > 0 }, 20*time.Second, 10*time.Millisecond)
				require.Contains(t, log.warnings()[0], strings.TrimSpace(want))
				require.Len(t, log.warnings(), 1)
				require.NotContains(t, log.warnings()[0], "fedcba")
				require.NotContains(t, log.warnings()[0], "012345")
			}
		})
	}
}
