package backend_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"livesupport/cmd/internal/backend"
)

// from shows a request as a proxy passes it on.
func from(address string) []string { return []string{"X-Forwarded-For", address} }

func TestScenarioAddress(t *testing.T) {
	t.Parallel()
	// A rate of 2 a minute gives the next one after 30 s: longer than a scenario.
	behindProxy := func(c *backend.Config) {
		c.RegisterRate, c.SocketsPerAddress = 2, 3
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	direct := func(c *backend.Config) { c.RegisterRate, c.SocketsPerAddress = 2, 3 }
	register := func(w *world, headers ...string) reply { return w.get(w.chats[0], "/user/join/Nika", headers...) }
	inEveryPlace(t, shared(behindProxy, scenarios{
		"registrations of an address": func(w *world) {
			for range 2 {
				w.expectJSON(register(w, from("203.0.113.1")...), 200)
			}
			r := register(w, from("203.0.113.1")...)
			w.expectFailure(r, 429, "rate_limited")
			if after, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || after < 1 || after > 31 {
				w.Errorf("Retry-After %q", r.header.Get("Retry-After"))
			}
			for _, spoofed := range [][]string{
				from("198.51.100.1, 203.0.113.1"), from("127.0.0.1, 203.0.113.1"), from("203.0.113.1:4711, 127.0.0.2"),
				{"Forwarded", "for=198.51.100.1, for=203.0.113.1"},
			} {
				w.expectFailure(register(w, spoofed...), 429, "rate_limited")
			}
			w.expectJSON(register(w, from("203.0.113.2")...), 200)
			w.expectFailure(w.get(w.chats[0], "/user/join/%20", from("203.0.113.1")...), 400, "bad_username")
		},
		"registrations of an IPv6 network": func(w *world) {
			for i := range 2 {
				w.expectJSON(register(w, from(fmt.Sprintf("2001:db8:1:2:%x::1", i))...), 200)
			}
			w.expectFailure(register(w, from("2001:db8:1:2:ffff::1")...), 429, "rate_limited")
			w.expectJSON(register(w, from("2001:db8:1:3::1")...), 200)
		},
		"sockets of an address": func(w *world) {
			v := w.register("Nika")
			for _, route := range [][2]string{{w.chats[0], "/chat/" + v.chatID}, {w.lobbies[0], "/users"}} {
				open := func() *client {
					c := w.dialWith(route[0], route[1], "pong:user", websocket.DialOptions{HTTPHeader: http.Header{"X-Forwarded-For": {"203.0.113.3"}}})
					w.eventually("counted", func() bool { return len(c.pinged()) > 0 })
					return c
				}
				one := open()
				open()
				open()
				there := append(from("203.0.113.3"), upgrading...)
				r := w.get(route[0], route[1], there...)
				w.expectFailure(r, 429, "rate_limited")
				if r.header.Get("Retry-After") == "" {
					w.Error("no Retry-After")
				}
				w.dialWith(route[0], route[1], "pong:user", websocket.DialOptions{HTTPHeader: http.Header{"X-Forwarded-For": {"203.0.113.4"}}})
				one.close()
				w.eventually("room for another socket", func() bool {
					conn, response := w.handshake(route[0], "GET "+route[1]+" HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.3\r\n", "")
					_ = conn.Close()
					return response.StatusCode == http.StatusSwitchingProtocols
				})
			}
		},
		"a flood from one address": func(w *world) {
			var flood sync.WaitGroup
			stop := make(chan struct{})
			var refused [2]int
			for i := range refused {
				flood.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if r := register(w, from("203.0.113.5")...); r.status == 429 {
							refused[i]++
						}
					}
				})
			}
			var took []time.Duration
			for i := range 20 {
				start := time.Now()
				w.expectJSON(register(w, from(fmt.Sprintf("198.51.100.%d", i))...), 200)
				took = append(took, time.Since(start))
			}
			close(stop)
			flood.Wait()
			slices.Sort(took)
			w.Logf("beside %d refusals others registered in %v (median), %v (slowest)", refused[0]+refused[1], took[10], took[19])
		},
	}), shared(direct, scenarios{
		"nobody is believed who is no proxy": func(w *world) {
			for i := range 2 {
				w.expectJSON(register(w, from(fmt.Sprintf("203.0.113.%d", i))...), 200)
			}
			w.expectFailure(register(w, from("203.0.113.9")...), 429, "rate_limited")
			w.expectFailure(register(w, "Forwarded", "for=203.0.113.9"), 429, "rate_limited")
			w.expectFailure(register(w, "X-Real-IP", "203.0.113.9"), 429, "rate_limited")
		},
	}))
}
