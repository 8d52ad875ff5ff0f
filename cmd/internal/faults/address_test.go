package faults_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestFloodFromAnAddress floods registrations and upgrades from one address while the
// limits per address are on. That address gets what the limits allow, and others hardly
// notice. The address is the one that a proxy names.
func TestFloodFromAnAddress(t *testing.T) {
	s := begin(t)
	const rate, sockets, clients = 60, 10, 16
	w := newWorld(t, "redis")
	chat := w.startChat(fmt.Sprintf("REGISTER_RATE=%d", rate), fmt.Sprintf("SOCKETS_PER_ADDRESS=%d", sockets), "TRUSTED_PROXIES=127.0.0.0/8")
	s.chats = 3 // all that is not of the flood shares 127.0.0.1
	tr := w.talk(s)
	wait(t.Context(), 2*time.Second)
	t.Logf("%s: others' delivery without a flood: %s", t.Name(), percentiles(tr.delays(time.Time{}, time.Now())))

	someone := w.register(chat.addr, "Somebody").ChatID
	upgrading := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	opened := func() int { return int(w.metrics(chat)[`livesupport_sockets_opened_total{server="chat"}`]) }
	for _, flood := range []struct {
		name, path, reason string
		header             http.Header
	}{
		{"registrations", "/user/join/Eve", "register_rate", http.Header{}},
		{"upgrades", "/chat/" + someone, "sockets_per_address", upgrading},
	} {
		flood.header = flood.header.Clone()
		flood.header.Set("X-Forwarded-For", "203.0.113.9")
		before, cpu := opened(), w.metrics(chat)["process_cpu_seconds_total"]
		start := time.Now()
		statuses := map[int]int{}
		var mu sync.Mutex
		var all errgroup
		var open []io.Closer
		for range clients {
			all.Go(func() error {
				transport := &http.Transport{}
				defer transport.CloseIdleConnections()
				client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
				for time.Since(start) < s.hostileTime {
					request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+chat.addr+flood.path, nil)
					if err != nil {
						return err
					}
					request.Header = flood.header
					response, err := client.Do(request)
					if err != nil {
						return err
					}
					if response.StatusCode == http.StatusSwitchingProtocols {
						mu.Lock() // it stays while there is a flood, so that the address has it
						open = append(open, response.Body)
						mu.Unlock()
					} else {
						_, _ = io.Copy(io.Discard, response.Body) // the status is what counts
						response.Body.Close()
					}
					mu.Lock()
					statuses[response.StatusCode]++
					mu.Unlock()
				}
				return nil
			})
		}
		// Meanwhile somebody from elsewhere registers, too.
		var others []time.Duration
		all.Go(func() error {
			for i := 0; time.Since(start) < s.hostileTime; i++ {
				wait(t.Context(), 50*time.Millisecond)
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+chat.addr+"/user/join/Nika", nil)
				if err != nil {
					return err
				}
				request.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i%250))
				begun := time.Now()
				response, err := plainHTTP.Do(request)
				if err != nil {
					return err
				}
				response.Body.Close()
				if response.StatusCode != http.StatusOK {
					return fmt.Errorf("another address gets %d", response.StatusCode)
				}
				others = append(others, time.Since(begun))
			}
			return nil
		})
		if err := all.Wait(); err != nil {
			t.Errorf("%s: %v", flood.name, err)
		}
		took := time.Since(start)
		for _, socket := range open {
			socket.Close()
		}
		// Upgrades that came at the same moment may get their 101, and then 1013.
		let, most := statuses[http.StatusOK], rate+1+int(took.Minutes()*rate)
		if flood.name == "upgrades" {
			let, most = opened()-before, sockets
		}
		delays := tr.delays(start, time.Now())
		m := w.metrics(chat)
		t.Logf("%s: a flood of %s: answers by status %v in %v, let through %d; others' delivery %s, registration %s; refused by its metric %v; the chat server used %.0f %% of a processor",
			t.Name(), flood.name, statuses, took.Round(100*time.Millisecond), let, percentiles(delays), percentiles(others),
			m[`livesupport_refused_total{reason="`+flood.reason+`",server="chat"}`], 100*(m["process_cpu_seconds_total"]-cpu)/took.Seconds())
		if let == 0 || let > most || len(statuses) != 2 || statuses[http.StatusTooManyRequests] == 0 {
			t.Errorf("%s: answers by status %v, let through %d of %d", flood.name, statuses, let, most)
		}
		if len(delays) == 0 {
			t.Errorf("%s: nothing is delivered to others", flood.name)
		}
	}
	w.alive(chat)
	if sum := tr.settle(15 * time.Second); sum.sockets != 2*len(tr.chats) {
		t.Errorf("%d sockets for %d participants: others were cut", sum.sockets, 2*len(tr.chats))
	}
}
