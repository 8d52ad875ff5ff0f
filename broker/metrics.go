package broker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are a broker's metrics, the same for each kind of broker.
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
			Help:    "Time until the broker has accepted a publication.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_publish_errors_total",
			Help: "Publications that the broker has not confirmed.",
		}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_received_total",
			Help: "Events received from the broker, counted for each subscription of the topic.",
		}),
		gaps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_gaps_total",
			Help: "Times that a subscription may have missed events.",
		}),
		connects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_connects_total",
			Help: "Connections made for subscriptions, including the first one.",
		}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "livesupport_broker_up",
			Help: "1 while subscriptions are connected to the broker, otherwise 0.",
		}),
		signalsSent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_signals_sent_total",
			Help: "Signals (typing, presence and the like) handed to the broker.",
		}),
		signalsReceived: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_signals_received_total",
			Help: "Signals received from the broker, counted for each listener of the topic.",
		}),
		signalsDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_broker_signals_dropped_total",
			Help: "Signals dropped by this process because the broker was unavailable or there were too many.",
		}),
	}
}

// published records the end of a publication that began at a time.
func (m *metrics) published(began time.Time, err error) {
	if err != nil {
		m.failed.Inc()
		return
	}
	m.publish.Observe(time.Since(began).Seconds())
}

// ofSignals returns metrics for signals: those of m, except for the ones that m has only for
// subscriptions.
func (m *metrics) ofSignals() metrics {
	s := newMetrics()
	s.received, s.signalsDropped = m.signalsReceived, m.signalsDropped
	return s
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.publish, m.failed, m.received, m.gaps, m.connects, m.up,
		m.signalsSent, m.signalsReceived, m.signalsDropped}
}
