package redisdb

import "github.com/prometheus/client_golang/prometheus"

// metrics are a DB's metrics.
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
			Help:    "Number of calls that shared one pipeline.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "livesupport_redis_pipeline_seconds",
			Help:    "Time from sending a pipeline to its last reply.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_redis_errors_total",
			Help: "Pipelines and probes that Redis did not answer, or could not execute.",
		}),
		connects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_redis_connects_total",
			Help: "Times that Redis has become reachable, including the first one.",
		}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "livesupport_redis_up",
			Help: "1 while Redis answers, otherwise 0.",
		}),
	}
}

// Metrics returns the DB's metrics. Register them once.
func (db *DB) Metrics() []prometheus.Collector {
	m := &db.metrics
	return []prometheus.Collector{m.calls, m.seconds, m.errors, m.connects, m.up}
}
