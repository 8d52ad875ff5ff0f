package chat

import (
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are a Service's metrics. Their labels are resolved once, here.
type metrics struct {
	messages prometheus.Counter
	refusals wire.Refusals

	joining, user, support, observer prometheus.Gauge // connections

	delivery      *prometheus.HistogramVec
	local, remote prometheus.Observer
	receipt       prometheus.Histogram
	answer        prometheus.Histogram
	rereads       prometheus.Counter
	unstored      prometheus.Counter
	unregistered  prometheus.Counter

	released    *prometheus.CounterVec
	given, lost prometheus.Counter
}

func newMetrics() metrics {
	m := metrics{
		messages: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_messages_total",
			Help: "Chat messages that this server has accepted.",
		}),
		refusals: wire.NewRefusals("chat"),
		joining:  wire.Connections("joining"),
		user:     wire.Connections("user"),
		support:  wire.Connections("support"),
		observer: wire.Connections("observer"),
		delivery: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "livesupport_delivery_seconds",
			Help:    "Time from accepting a message to the last write to a socket: on the server that accepted it (local), and on others.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}, []string{"origin"}),
		receipt: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "livesupport_broker_receipt_seconds",
			Help:    "Time from the moment another server accepted an event to its arrival through the broker, by the store's clock.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		answer: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "livesupport_first_answer_seconds",
			Help:    "Time from a user's registration to the first message of a support.",
			Buckets: waits,
		}),
		rereads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_log_rereads_total",
			Help: "Times that a chat's log was read again because entries were missed.",
		}),
		unstored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_appends_failed_total",
			Help: "Entries that the store did not accept in time.",
		}),
		unregistered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_registrations_failed_total",
			Help: "Registrations that the store did not accept.",
		}),
	}
	m.released = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "livesupport_chats_released_total",
		Help: "Chats that this server has released, by reason: transferred (transfer), or the support was gone for too long (lost).",
	}, []string{"reason"})
	m.given, m.lost = m.released.WithLabelValues(reasonTransfer), m.released.WithLabelValues(reasonLost)
	m.local = m.delivery.WithLabelValues("local")
	m.remote = m.delivery.WithLabelValues("remote")
	return m
}

// waits are the buckets, in seconds, for the waits of people.
var waits = []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600}

// Metrics returns the Service's metrics except for the counter of messages, which New
// registers. Register them once.
func (s *Service) Metrics() []prometheus.Collector {
	m := &s.metrics
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(value())
		})
	}
	return append(m.refusals.Metrics(),
		m.joining, m.user, m.support, m.observer, m.delivery, m.receipt, m.answer, m.rereads, m.unstored, m.unregistered, m.released,
		gauge("livesupport_chats_open", "Chats with a socket at this server.", func() int { return len(s.rooms) }),
		gauge("livesupport_users_waiting_here", "Users in the queue because of a socket at this server.", func() int { return len(s.waiting) }),
	)
}

// of returns the gauge of a role's connections.
func (m *metrics) of(role log.Role) prometheus.Gauge {
	switch role {
	case log.RoleSupport:
		return m.support
	case log.RoleObserver:
		return m.observer
	}
	return m.user
}

// since returns the seconds since an event, by the store's clock.
func (s *Service) since(e log.Event) float64 {
	return max(0, (time.Duration(s.now()-e.At) * time.Microsecond).Seconds())
}
