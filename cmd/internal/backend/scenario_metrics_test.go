package backend_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"livesupport/cmd/internal/backend"
)

// sample is one line of the metrics: name{labels} value.
type sample struct {
	series string
	value  float64
}

// samples reads what the operators' ports of all servers show.
func (w *world) samples() []sample {
	w.Helper()
	var all []sample
	for _, b := range w.backends {
		for line := range strings.Lines(w.get(b.MetricsAddr(), "/metrics").body) {
			series, text, ok := strings.Cut(strings.TrimSpace(line), " ")
			if open := strings.Index(line, "{"); open >= 0 { // labels may have spaces
				end := strings.LastIndex(line, "} ")
				if end < open {
					continue
				}
				series, text = line[:end+1], strings.TrimSpace(line[end+2:])
			}
			value, err := strconv.ParseFloat(text, 64)
			if !ok || err != nil || strings.HasPrefix(line, "#") {
				continue
			}
			all = append(all, sample{series, value})
		}
	}
	return all
}

// figure is the sum over the servers of the series with this name and these
// labels, written as name{label="value"}.
func (w *world) figure(series string) float64 {
	w.Helper()
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	sum, found := 0.0, false
	for _, s := range w.samples() {
		gotName, gotLabels, _ := strings.Cut(s.series, "{")
		if gotName == name && strings.Contains(gotLabels, labels) {
			sum, found = sum+s.value, true
		}
	}
	if !found {
		w.Fatalf("no metric %s", series)
	}
	return sum
}

// expectFigure waits until the figure is this one.
func (w *world) expectFigure(series string, want float64) {
	w.Helper()
	w.eventually(series, func() bool { return w.figure(series) == want })
}

// A conversation's trace in the numbers.
func TestScenarioMetrics(t *testing.T) {
	t.Parallel()
	tune := func(c *backend.Config) { c.MetricsAddr = "127.0.0.1:0" }
	inEveryPlace(t, alone(tune, scenarios{
		"a conversation shows": func(w *world) {
			agents := w.agents(2)
			lobbies := float64(len(w.lobbies)) // each shows the whole queue
			w.expectFigure(`livesupport_connections{role="agent"}`, 2)
			w.expectFigure("livesupport_users_waiting", 0)
			w.expectFigure("livesupport_oldest_wait_seconds", 0)

			v := w.register("Nika")
			user := w.userAt(w.chats[0], v)
			each(agents, func(a *client) { a.expectAnnounced(v) })
			w.expectFigure("livesupport_users_waiting", lobbies)
			w.expectFigure("livesupport_users_waiting_here", 1)
			w.expectFigure(`livesupport_connections{role="user"}`, 1)
			w.eventually("a wait", func() bool { return w.figure("livesupport_oldest_wait_seconds") > 0 })

			agents[0].send("JoinUser", v.claim())
			each(agents, func(a *client) { a.expectRemoved(v) })
			agents[1].send("JoinUser", v.claim())
			agents[1].expectError("already_taken")
			w.expectFigure("livesupport_users_waiting", 0)
			w.expectFigure(`livesupport_claims_total{result="won"}`, 1)
			w.expectFigure(`livesupport_claims_total{result="lost"}`, 1)
			w.expectFigure("livesupport_claim_wait_seconds_count", 1)
			w.expectFigure(`livesupport_frames_refused_total{code="already_taken",server="lobby"}`, 1)

			support := w.supportAt(w.chats[len(w.chats)-1], v, "Vika")
			user.expectSupportJoined()
			w.expectFigure(`livesupport_connections{role="support"}`, 1)
			w.expectFigure(`livesupport_connections{role="joining"}`, 0)
			w.expectFigure("livesupport_chats_open", float64(len(w.chats)))
			user.said("one", support)
			w.expectFigure("livesupport_first_answer_seconds_count", 0)
			support.said("two", user)
			support.said("three", user)
			w.expectFigure("livesupport_messages_total", 3)
			w.expectFigure("livesupport_first_answer_seconds_count", 1)
			w.expectFigure(`livesupport_delivery_seconds_count{origin="local"}`, 3)
			if len(w.chats) > 1 {
				w.expectFigure(`livesupport_delivery_seconds_count{origin="remote"}`, 3)
				if w.figure("livesupport_broker_receipt_seconds_count") < 3 || w.figure("livesupport_broker_received_total") < 3 {
					w.Error("nothing received through the broker")
				}
			}
			user.sendText("rubbish")
			user.expectError("bad_json")
			w.expectFigure(`livesupport_frames_refused_total{code="bad_json",server="chat"}`, 1)

			processes := float64(len(w.backends))
			w.expectFigure("livesupport_build_info", processes)
			w.expectFigure("livesupport_redis_up", processes)
			w.expectFigure("livesupport_broker_up", processes)
			w.expectFigure("livesupport_appends_failed_total", 0)
			w.expectFigure("livesupport_slow_clients_cut_total", 0)
			if w.figure("livesupport_redis_pipeline_calls_count") == 0 || w.figure("livesupport_redis_pipeline_seconds_sum") == 0 {
				w.Error("no pipelines")
			}
			user.close()
			support.close()
			w.expectFigure(`livesupport_connections{role="user"}`, 0)
			w.expectFigure(`livesupport_connections{role="support"}`, 0)
			w.expectFigure("livesupport_chats_open", 0)
		},
		"the public ports show little": func(w *world) {
			for _, addr := range slices.Concat(w.chats, w.lobbies) {
				body := w.get(addr, "/metrics").body
				if strings.Contains(body, "livesupport_build_info") || strings.Contains(body, "livesupport_claims_total") {
					w.Errorf("%s: %s", addr, body)
				}
			}
			w.messagesCounted() // there is that
		},
		"many chats make no new series": func(w *world) {
			_, user, support := w.couple()
			user.said("hello", support)
			pass(50 * time.Millisecond)
			before := len(w.samples())
			for range 3 {
				_, user, support := w.couple()
				user.said("hello", support)
			}
			if after := len(w.samples()); after != before {
				w.Errorf("%d series before, %d after", before, after)
			}
		},
	}), alone(func(c *backend.Config) { tune(c); c.Assign, c.OfferTTL = "round_robin", 3*slowness*time.Second }, scenarios{
		"what becomes of offers shows": func(w *world) {
			desks := []*client{w.sits("Vika", "offers"), w.sits("Dodo", "offers")}
			visitors, _ := w.waiting("Nika")
			v := visitors[0]
			first := w.offeredTo(v, desks...)
			desks[first].send("Decline", v.claim())
			desks[first].expectOfferGone(v)
			desks[1-first].expectOffer(v)
			desks[1-first].send("JoinUser", v.claim())
			desks[1-first].expectRemoved(v)
			each(desks, (*client).ignoreRest)
			offers := func(event string, want float64) { w.expectFigure(`livesupport_offers_total{event="`+event+`"}`, want) }
			w.waiting("Lali") // whom nobody answers
			offers("expired", 2)
			_, sockets := w.waiting("Nino")
			sockets[0].ignoreRest()
			sockets[0].send("CloseChat", nil)
			offers("gone", 1)
			offers("made", 5)
			offers("accepted", 1)
			offers("declined", 1)
		},
	}))
}
