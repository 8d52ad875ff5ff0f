package redisdb

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a DB tells of itself.
type metrics struct {
	calls    prometheus.Histogram // of one pipeline
	seconds  prometheus.Histogram
	errors   prometheus.Counter
	connects prometheus.Counter
	up       prometheus.Gauge
}

func newMetrics() metrics {
	return metrics{
		calls: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "livesupport_redis_pipeline_calls",
			Help:    "Calls that shared one pipeline: the size of an append's batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "livesupport_redis_pipeline_seconds",
			Help:    "Time from sending a pipeline to its last reply.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_redis_errors_total",
			Help: "Pipelines and probes that Redis did not answer, or answered with an outage.",
		}),
		connects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_redis_connects_total",
			Help: "Times that Redis has become reachable; the first one is the start.",
		}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "livesupport_redis_up",
			Help: "1 while Redis answers, else 0.",
		}),
	}
}

// Metrics are the DB's figures, to be registered once.
func (db *DB) Metrics() []prometheus.Collector {
	m := &db.metrics
	return []prometheus.Collector{m.calls, m.seconds, m.errors, m.connects, m.up}
}
