package backend_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"livesupport/cmd/internal/backend"
)

// TestScenarioPrefix runs three deployments on one store and one broker: each has its
// visitors for itself, and what it stores and publishes begins with its prefix.
func TestScenarioPrefix(t *testing.T) {
	t.Parallel()
	for _, p := range places {
		if !p.split {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			cfg := defaults(t)
			p.open(t, &cfg)
			same := func(_ *testing.T, c *backend.Config) {
				c.RedisURL, c.Broker, c.NATSURL = cfg.RedisURL, cfg.Broker, cfg.NATSURL
			}
			var worlds []*world
			for _, prefix := range []string{"", "shop", "shop-2"} {
				w := place{open: same, split: true}.start(t, func(c *backend.Config) { c.Prefix = prefix }).world(t)
				worlds = append(worlds, w)
			}
			var agents, talking []*client
			for _, w := range worlds {
				agents = append(agents, w.agents(2)...)
			}
			for i, w := range worlds {
				own := agents[2*i : 2*i+2]
				v := w.register("Nika")
				user := w.user(v)
				each(own, func(a *client) { a.expectAnnounced(v) })
				own[0].send("JoinUser", v.claim())
				each(own, func(a *client) { a.expectRemoved(v) })
				support := w.support(v, "Vika")
				user.expectSupportJoined()
				user.said("hello", support)
				talking = append(talking, user, support)
				for _, other := range worlds {
					if other != w {
						other.chatIsGone(v)
					}
				}
			}
			each(append(agents, talking...), (*client).expectAnswersOnly)
			expectPrefixes(worlds[0])
		})
	}
}

// expectPrefixes looks for the three deployments in what the store and the broker hold.
func expectPrefixes(w *world) {
	w.Helper()
	ctx := context.Background()
	keys, err := w.redis().Keys(ctx, "*").Result()
	if err != nil {
		w.Fatal(err)
	}
	names := keys
	if w.natsURL == "" {
		channels, err := w.redis().PubSubChannels(ctx, "*").Result()
		if err != nil {
			w.Fatal(err)
		}
		for _, channel := range channels {
			if channel != "__sentinel__:hello" { // by which sentinels find each other
				names = append(names, channel)
			}
		}
	} else {
		js, err := jetstream.New(w.nats())
		if err != nil {
			w.Fatal(err)
		}
		var streams []string
		for name := range js.StreamNames(ctx).Name() {
			streams = append(streams, name)
		}
		slices.Sort(streams)
		if want := []string{"LIVESUPPORT", "LIVESUPPORT-shop", "LIVESUPPORT-shop-2"}; !slices.Equal(streams, want) {
			w.Errorf("the streams are %v, want %v", streams, want)
		}
	}
	count := map[string]int{}
	for _, name := range names {
		prefix := ""
		for _, p := range []string{"shop:", "shop-2:"} {
			if rest, ok := strings.CutPrefix(name, p); ok {
				prefix, name = p, rest
			}
		}
		if !strings.HasPrefix(name, "chat:") && !strings.HasPrefix(name, "{lobby}:") && name != "users" {
			w.Errorf("%q is no name of ours", prefix+name)
		}
		if strings.HasPrefix(name, "{lobby}:") || name == "chat:{servers}" || name == "chat:{ready}:try" {
			continue // there only while somebody waits, servers have something to tell each other, or try the store
		}
		count[prefix]++
	}
	if len(count) != 3 || count[""] != count["shop:"] || count[""] != count["shop-2:"] {
		w.Errorf("the prefixes of keys and channels are %v, want three, as often each", count)
	}
}
