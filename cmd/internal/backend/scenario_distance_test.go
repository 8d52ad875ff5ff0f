package backend_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"livesupport/broker/brokertest"
	"livesupport/cmd/internal/backend"
)

// TestScenarioDistance: store and broker may be far away. A socket that sends no
// more than a message per round trip is never refused, and every message is
// answered; both sides, on two servers, get all.
func TestScenarioDistance(t *testing.T) {
	t.Parallel()
	all := scenarios{}
	for _, events := range []string{"redis", "nats"} {
		for oneWay, rates := range map[time.Duration][]int{
			time.Millisecond:       {1, 10},
			40 * time.Millisecond:  {1, 10},
			150 * time.Millisecond: {1},
			400 * time.Millisecond: {1},
		} {
			for _, rate := range rates {
				all[fmt.Sprintf("%s %v away, %d a second", events, oneWay, rate)] = func(w *world) {
					w.deployment = distant(w.T, events, oneWay, oneWay)
					w.fromAfar(rate)
				}
			}
		}
	}
	all["nats 600ms away, the store near, 1 a second"] = func(w *world) {
		w.deployment = distant(w.T, "nats", time.Millisecond, 600*time.Millisecond)
		w.fromAfar(1)
	}
	atOnce(t, all, func(t *testing.T, run func(*world)) { run(&world{T: t}) })
}

// distant is two of each server, with store and broker so far away, one way.
func distant(t *testing.T, events string, store, broker time.Duration) *deployment {
	t.Helper()
	far := func(url string, oneWay time.Duration) string {
		scheme, addr, _ := strings.Cut(url, "://")
		proxy := brokertest.StartProxy(t, addr)
		proxy.Delay(oneWay)
		return scheme + "://" + proxy.Addr()
	}
	p := place{split: true, open: func(t *testing.T, cfg *backend.Config) {
		cfg.RedisURL = far(brokertest.StartEmbeddedRedis(t).URL(), store)
		if cfg.Broker = events; events == "nats" {
			cfg.NATSURL = far(brokertest.StartEmbeddedNATS(t).URL(), broker)
		}
	}}
	return p.start(t, nil)
}

// fromAfar has a user send so many messages a second for a few seconds.
func (w *world) fromAfar(rate int) {
	v := w.register("Nika")
	user := w.chatAt(w.chats[0], v)
	user.role = "User"
	user.joinsFromAfar(v.asUser())
	user.expect("UserJoined", v.pending())
	support := w.chatAs(w.chats[1], v, "pong:support")
	support.joinsFromAfar(v.asSupport("Vika"))
	support.isSupport("Vika")
	user.expectSupportJoined()
	user.say("first")
	user.expectMessage("User", "first") // after this the other server's side is known to attend
	support.expectMessage("User", "first")

	n := 4 * rate
	begun := time.Now()
	w.errand(func() error {
		for i := range n {
			time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate))))
			if err := user.write(websocket.MessageText, text(frame("ChatMessage", obj{"from": "User", "content": fmt.Sprint(i)}))); err != nil {
				return err
			}
		}
		return nil
	}, func() error {
		for i := range n {
			got, err := user.next(2 * refusal)
			if err != nil {
				return fmt.Errorf("no answer to message %d: %w", i, err)
			}
			if !strings.Contains(got, fmt.Sprintf(`"content":"%d"`, i)) {
				return fmt.Errorf("message %d is answered with %s", i, got)
			}
		}
		return nil
	})
	for i := range n {
		support.expectMessage("User", fmt.Sprint(i))
	}
}

// joinsFromAfar sends a Join until it is not answered with unavailable: 0.8 s away it may
// need more than its time, and a client tries again. The answer stays.
func (c *client) joinsFromAfar(join obj) {
	c.t.Helper()
	for range 5 {
		c.send("Join", join)
		answer, err := c.next(2 * refusal)
		if err != nil {
			c.t.Fatal(err)
		}
		if !strings.Contains(answer, `"unavailable"`) {
			c.unread(answer)
			return
		}
	}
	c.t.Fatalf("%s: no Join has come through", c.name)
}
