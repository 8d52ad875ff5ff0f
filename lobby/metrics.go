package lobby

import (
	"time"

	"livesupport/lobby/wire"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are a Lobby's metrics. Their labels are resolved once, here.
type metrics struct {
	refusals         wire.Refusals
	agents           prometheus.Gauge
	wait             prometheus.Histogram
	claims           *prometheus.CounterVec
	won, again, lost prometheus.Counter
}

func newMetrics() metrics {
	m := metrics{
		refusals: wire.NewRefusals("lobby"),
		agents:   wire.Connections("agent"),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "livesupport_claim_wait_seconds",
			Help:    "Time that a user had waited when an agent of this lobby claimed them.",
			Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600},
		}),
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "livesupport_claims_total",
			Help: "Claims of this lobby's agents by result: won, won by the same agent before (again), or lost to another agent.",
		}, []string{"result"}),
	}
	m.won = m.claims.WithLabelValues("won")
	m.again = m.claims.WithLabelValues("again")
	m.lost = m.claims.WithLabelValues("lost")
	return m
}

// Metrics returns the Lobby's metrics. Register them once.
func (l *Lobby) Metrics() []prometheus.Collector {
	m := &l.metrics
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			return value()
		})
	}
	return append(m.refusals.Metrics(), m.agents, m.wait, m.claims,
		gauge("livesupport_users_waiting", "Users in the queue whom no agent has claimed. Every lobby reports the whole queue.",
			func() float64 { return float64(l.pending.len()) }),
		gauge("livesupport_oldest_wait_seconds", "Minimum time that the first of them has waited. A lobby only knows the time since its own start.",
			func() float64 {
				if l.pending.len() == 0 {
					return 0
				}
				return time.Since(l.pending.order[0].since).Seconds()
			}),
	)
}

// offerCounts counts the outcomes of offers, in the order in which the queue's script
// returns them. The process that made the step counts it.
type offerCounts struct {
	all    *prometheus.CounterVec
	events []prometheus.Counter
}

func newOfferCounts() offerCounts {
	c := offerCounts{all: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "livesupport_offers_total",
		Help: "Offers of users to agents by step: made, and then accepted, declined, expired, or gone with their user or agent.",
	}, []string{"event"})}
	for _, event := range []string{"made", "accepted", "declined", "expired", "gone"} {
		c.events = append(c.events, c.all.WithLabelValues(event))
	}
	return c
}

// count adds the counts from one call of the script.
func (c *offerCounts) count(counted any) {
	list, _ := counted.([]any) // or 0 instead of a list
	for i, n := range list[:min(len(list), len(c.events))] {
		if n, _ := n.(int64); n > 0 {
			c.events[i].Add(float64(n))
		}
	}
}

// Metrics returns the Queue's metrics. Register them once.
func (q *Queue) Metrics() []prometheus.Collector { return []prometheus.Collector{q.offers.all} }
