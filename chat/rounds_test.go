package chat

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livesupport/broker"
	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
	"livesupport/chat/log"
	"livesupport/lobby"
	"livesupport/lobby/wire"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// tally is what a chat server has asked of the store: each round with its commands.
type tally struct {
	mu     sync.Mutex
	rounds [][]string
}

func (t *tally) add(round ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rounds = append(t.rounds, round)
}

// take returns the names of the commands about a chat since the last call, with a bar
// between rounds. Of a script of the queue the name is the operation.
func (t *tally) take(chatID string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rounds []string
	for _, round := range t.rounds {
		var names []string
		for _, command := range round {
			if name, line, _ := strings.Cut(command, " "); strings.Contains(line, chatID) {
				names = append(names, name)
			}
		}
		switch one := strings.Join(names, " "); one {
		case "", "pexpire", "renew": // once in five seconds, for those who wait
		default:
			rounds = append(rounds, one)
		}
	}
	t.rounds = nil
	return strings.Join(rounds, " | ")
}

func (t *tally) DialHook(next redis.DialHook) redis.DialHook { return next }

func (t *tally) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (t *tally) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		var round []string
		for _, cmd := range cmds {
			line := cmd.Args()
			if strings.HasPrefix(cmd.Name(), "eval") {
				line = line[3+line[2].(int):]
			}
			round = append(round, fmt.Sprintf("%s", line)[1:])
		}
		t.add(round...)
		return next(ctx, cmds)
	}
}

// tallied is a broker whose subscriptions are counted. Redis makes them on a connection
// of their own.
type tallied struct {
	broker.Broker
	tally *tally
}

func (b tallied) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	b.tally.add("subscribe " + topic)
	return b.Broker.Subscribe(ctx, topic, h)
}

// tallyServer is a chat server on Redis as store and broker.
func tallyServer(t testing.TB, url string, tune func(*Config)) (*Service, *tally) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	db, err := redisdb.Open(url, logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	events := broker.NewRedis(db, logger)
	t.Cleanup(func() { events.Close() })
	rounds := &tally{}
	queue := lobby.NewQueue(lobby.QueueConfig{
		DB: db, Broker: events, BrokerInStore: true, ChatTTL: time.Hour, ClaimTTL: time.Minute, LeaveGrace: time.Minute, Log: logger,
	})
	t.Cleanup(func() { queue.Close() })
	cfg := Config{
		DB: db, Broker: tallied{events, rounds}, Queue: queue, TTL: time.Hour, MaxMessages: log.MaxMessages, JoinTimeout: time.Minute,
		Frame: func(b []byte) []byte { return append(bytes.Clone(b), '\n') }, Log: logger, Metrics: prometheus.NewRegistry(),
	}
	tune(&cfg)
	s := New(cfg)
	t.Cleanup(func() { s.Close() })
	eventually(t, "store and broker are there", func() bool { return db.Ready() == nil && events.Ready() == nil })
	db.Client().AddHook(rounds)
	return s, rounds
}

// keeper finds no chat's time over.
type keeper struct{ logs log.Store }

func (k keeper) End(ctx context.Context, chatIDs []string) ([]time.Duration, error) {
	return k.logs.Rest(ctx, chatIDs)
}

// followed is the configuration where ended chats are kept, and living ones followed.
func followed(cfg *Config) {
	cfg.Grace, cfg.Appended = time.Hour, func(string) {}
	cfg.Keeper = keeper{log.NewStore(cfg.DB, cfg.TTL, cfg.Grace)}
}

// TestRounds counts what joining takes: the rounds to the store, one after the other,
// and the commands of each. They are not to grow unnoticed (cmd/loadtest/PERFORMANCE.md,
// "Where the time goes").
func TestRounds(t *testing.T) {
	const (
		registers = iota
		userJoins
		supportJoins
		userAgain
		supportAgain
	)
	actions := []string{"registers", "user joins", "support joins", "user joins again", "support joins again"}
	nika := Registration{Name: "Nika"}
	vika := &wire.Identity{Subject: "vika", Name: "Vika"}
	plain := func(*Config) {}
	for _, c := range []struct {
		name     string
		with     Registration
		agent    *wire.Identity
		tune     func(*Config)
		features string
		// servers are those on which the user registers, the user joins, the support joins.
		servers [3]int
		cluster bool
		// want has the rounds between bars, for each action; for the first ones where
		// servers tell each other of something meanwhile.
		want []string
	}{
		{"one server", nika, nil, plain, "", [3]int{0, 0, 0}, false, []string{
			"rpush pexpire", "subscribe | enter", "take", "pexpire lrange", "pexpire lrange",
		}},
		{"details", Registration{Name: "Nika", Verified: true, Team: "sales", Details: `{"page":"https://shop/"}`, Consent: `{"text":"yes"}`}, nil, plain, "", [3]int{0, 0, 0}, false, []string{
			"rpush pexpire", "subscribe | enter", "take", "pexpire lrange", "pexpire lrange",
		}},
		{"agents with tokens", nika, vika, plain, "", [3]int{0, 0, 0}, false, []string{
			"rpush pexpire", "subscribe | enter", "take", "pexpire lrange", "pexpire lrange",
		}},
		{"every feature", nika, nil, plain, `"receipts","typing","presence","queue","close","rating","notes"`, [3]int{0, 0, 0}, false, []string{
			"rpush pexpire", "subscribe | enter", "take", "pexpire lrange", "pexpire lrange",
		}},
		{"chats are kept", nika, nil, followed, "", [3]int{0, 0, 0}, false, []string{
			"zadd rpush pexpire", "subscribe | zadd enter", "take", "pexpire lrange", "pexpire lrange",
		}},
		{"support on another server", nika, nil, plain, "", [3]int{0, 0, 1}, false, []string{
			"rpush pexpire", "subscribe | enter", "lrange llen | subscribe | take",
		}},
		{"registered on another server", nika, nil, plain, "", [3]int{0, 1, 1}, false, []string{
			"rpush pexpire", "lrange llen | subscribe | enter", "take", "pexpire lrange", "pexpire lrange",
		}},
		{"three servers, tokens, chats are kept", nika, vika, followed, "", [3]int{0, 1, 2}, false, []string{
			"zadd rpush pexpire", "lrange pttl | subscribe | zadd enter", "lrange pttl | subscribe | zadd take",
		}},
		{"Cluster, which keeps logs and queue apart", nika, nil, plain, "", [3]int{0, 0, 0}, true, []string{
			"rpush pexpire", "subscribe | rpushx pexpire | add", "rpushx pexpire | taken | spublish", "pexpire lrange", "pexpire lrange",
		}},
		{"Cluster, tokens", nika, vika, plain, "", [3]int{0, 0, 0}, true, []string{
			"rpush pexpire", "subscribe | rpushx pexpire | add", "claim | rpushx pexpire | taken | spublish", "pexpire lrange", "pexpire lrange",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := ""
			if c.cluster {
				url = brokertest.StartRedisCluster(t).URL()
			} else {
				url = brokertest.StartRedisServer(t).URL()
			}
			servers := make([]*Service, 1+slices.Max(c.servers[:]))
			tallies := make([]*tally, len(servers))
			for i := range servers {
				servers[i], tallies[i] = tallyServer(t, url, func(cfg *Config) {
					cfg.AgentsNeedToken = c.agent != nil
					c.tune(cfg)
				})
			}
			play := func(did func(action, server int, chatID string)) {
				u, err := servers[c.servers[0]].Register(t.Context(), c.with)
				if err != nil {
					t.Fatal(err)
				}
				did(registers, c.servers[0], u.ChatID)
				supportID := ""
				join := func(action, server int, role log.Role) {
					p := servers[server].connect(u.ChatID)
					p.session.agent = c.agent
					p.send(`{"type":"Join","args":{"userId":%q,"from":%q,"supportUserName":"Vika","supportId":%q,"features":[%s]}}`,
						u.UserID, role, supportID, c.features)
					if p.session.room == nil {
						t.Fatalf("%s: %q", actions[action], p.got)
					}
					t.Cleanup(p.session.Closed)
					did(action, server, u.ChatID)
					if role == log.RoleSupport {
						supportID = p.session.supportID
					}
				}
				join(userJoins, c.servers[1], log.RoleUser)
				join(supportJoins, c.servers[2], log.RoleSupport)
				join(userAgain, c.servers[1], log.RoleUser)
				join(supportAgain, c.servers[2], log.RoleSupport)
			}
			play(func(int, int, string) {}) // the store gets to know the scripts
			play(func(action, server int, chatID string) {
				if action >= len(c.want) {
					return
				}
				quiet(t, servers[server])
				if got := tallies[server].take(chatID); got != c.want[action] {
					t.Errorf("%s: got\n\t%s\nwant\n\t%s", actions[action], got, c.want[action])
				}
			})
		})
	}
}

// quiet waits until a server has told all news.
func quiet(t *testing.T, s *Service) {
	t.Helper()
	eventually(t, "all news told", func() bool {
		s.mu.Lock()
		rooms, untold := slices.Collect(maps.Values(s.rooms)), len(s.untold)
		s.mu.Unlock()
		return untold == 0 && !slices.ContainsFunc(rooms, func(r *room) bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.publishing
		})
	})
}
