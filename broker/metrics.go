package broker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a broker tells of itself, the same for each kind.
type metrics struct {
	publish  prometheus.Histogram
	failed   prometheus.Counter
	received prometheus.Counter
	gaps     prometheus.Counter
	connects prometheus.Counter
	up       prometheus.Gauge

	signalsSent     prometheus.Counter
	signalsReceived prometheus.Counter
	signalsDropped  prometheus.Counter
}

func newMetrics() metrics {
	return metrics{
		publish: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "livesupport_broker_publish_seconds",
			Help:    "Time until the broker has taken a publication.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_publish_errors_total",
			Help: "Publications that the broker has not confirmed.",
		}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_received_total",
			Help: "Events that the broker has brought, one for each subscription of a topic.",
		}),
		gaps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_gaps_total",
			Help: "Times that a subscription was told that it may have missed events.",
		}),
		connects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_connects_total",
			Help: "Connections made for subscriptions; the first one is the start.",
		}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "livesupport_broker_up",
			Help: "1 while subscriptions are connected to the broker, else 0.",
		}),
		signalsSent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_signals_sent_total",
			Help: "Signals (typing, presence and the like) handed to the broker.",
		}),
		signalsReceived: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_signals_received_total",
			Help: "Signals that the broker has brought, one for each listener of a topic.",
		}),
		signalsDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_signals_dropped_total",
			Help: "Signals given up by this process, because the broker was away or there were too many.",
		}),
	}
}

// published notes the end of a publication that began then.
func (m *metrics) published(began time.Time, err error) {
	if err != nil {
		m.failed.Inc()
		return
	}
	m.publish.Observe(time.Since(began).Seconds())
}

// ofSignals are the metrics of what listens to signals, which are counted in m but
// for those that m has for subscriptions alone.
func (m *metrics) ofSignals() metrics {
	s := newMetrics()
	s.received, s.signalsDropped = m.signalsReceived, m.signalsDropped
	return s
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.publish, m.failed, m.received, m.gaps, m.connects, m.up,
		m.signalsSent, m.signalsReceived, m.signalsDropped}
}
