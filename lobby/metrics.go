package lobby

import (
	"time"

	"livesupport/lobby/wire"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a Lobby tells of itself. Labels are resolved here, once.
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
			Help: "Claims of this lobby's agents: won, won by the same agent before (again), or lost to another one.",
		}, []string{"result"}),
	}
	m.won = m.claims.WithLabelValues("won")
	m.again = m.claims.WithLabelValues("again")
	m.lost = m.claims.WithLabelValues("lost")
	return m
}

// Metrics are the Lobby's figures, to be registered once.
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
		gauge("livesupport_users_waiting", "Users in the queue that nobody has claimed: the whole queue, the same at every lobby.",
			func() float64 { return float64(l.pending.len()) }),
		gauge("livesupport_oldest_wait_seconds", "How long the first of them has waited at least: a lobby knows no longer than it runs.",
			func() float64 {
				if l.pending.len() == 0 {
					return 0
				}
				return time.Since(l.pending.order[0].since).Seconds()
			}),
	)
}
