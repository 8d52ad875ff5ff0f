package web

import "github.com/prometheus/client_golang/prometheus"

// metrics are a hub's metrics of its sockets.
type metrics struct {
	opened   prometheus.Counter
	refused  prometheus.Counter
	slow     prometheus.Counter
	flooding prometheus.Counter
	unjoined prometheus.Counter
	denied   *prometheus.CounterVec // by reason
}

func newMetrics(server string) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{"server": server},
		})
	}
	m := metrics{
		opened:   counter("livesupport_sockets_opened_total", "WebSocket connections that were accepted."),
		refused:  counter("livesupport_sockets_refused_total", "WebSocket connections that were refused because the server was full."),
		slow:     counter("livesupport_slow_clients_cut_total", "Sockets that were closed because their client read too slowly."),
		flooding: counter("livesupport_flooding_clients_cut_total", "Sockets that were closed because their client sent too many frames or bytes."),
		unjoined: counter("livesupport_unjoined_clients_cut_total", "Sockets that were closed because their client did not join in time."),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name:        "livesupport_refused_total",
			Help:        "Requests that were refused because of a token, an origin, their size or a limit per address, by reason.",
			ConstLabels: prometheus.Labels{"server": server},
		}, []string{"reason"}),
	}
	for _, reason := range []string{unauthorized, foreignOrigin, registerRate, socketsPerAddress, headerBytes, bodyBytes} {
		m.denied.WithLabelValues(reason) // shown from the start
	}
	return m
}

// Reasons for refusing a request before there is a session.
const (
	unauthorized      = "unauthorized"
	foreignOrigin     = "origin"
	registerRate      = "register_rate"
	socketsPerAddress = "sockets_per_address"
	headerBytes       = "header_bytes"
	bodyBytes         = "body_bytes"
)

// Metrics returns the server's metrics. Register them once.
func (s *Server) Metrics() []prometheus.Collector {
	m := &s.hub.metrics
	return []prometheus.Collector{m.opened, m.refused, m.slow, m.flooding, m.unjoined, m.denied}
}

// refused counts a request that was refused before there was a session.
func (s *Server) refused(reason string) { s.hub.metrics.denied.WithLabelValues(reason).Inc() }
