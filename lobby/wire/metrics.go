package wire

import "github.com/prometheus/client_golang/prometheus"

// codes are the codes of refused frames.
var codes = []Code{
	BadJSON, UnknownType, BadRequest, NotJoined, Forbidden, AlreadyTaken,
	TooLarge, RateLimited, ChatFull, Unauthorized, Unavailable, ChatClosed, NotFound,
}

// Refusals counts the refused frames of one server, by code.
type Refusals struct {
	all    *prometheus.CounterVec
	byCode map[Code]prometheus.Counter // resolved once
}

// NewRefusals makes the counters of a server, "chat" or "lobby".
func NewRefusals(server string) Refusals {
	r := Refusals{
		all: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name:        "livesupport_frames_refused_total",
			Help:        "Frames that were answered with an Error, by code.",
			ConstLabels: prometheus.Labels{"server": server},
		}, []string{"code"}),
		byCode: make(map[Code]prometheus.Counter, len(codes)),
	}
	for _, code := range codes {
		r.byCode[code] = r.all.WithLabelValues(string(code))
	}
	return r
}

// Count counts a refusal.
func (r Refusals) Count(code Code) {
	if counter, ok := r.byCode[code]; ok {
		counter.Inc()
	}
}

// Metrics returns the counters. Register them once.
func (r Refusals) Metrics() []prometheus.Collector { return []prometheus.Collector{r.all} }

// Connections makes the gauge of one role's sockets.
func Connections(role string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "livesupport_connections",
		Help:        "Sockets by role. The role joining has the chat server's sockets that have not joined yet.",
		ConstLabels: prometheus.Labels{"role": role},
	})
}
