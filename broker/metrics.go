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

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.publish, m.failed, m.received, m.gaps, m.connects, m.up}
}
