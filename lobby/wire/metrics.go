package wire

import "github.com/prometheus/client_golang/prometheus"

// codes are those that a frame can be refused with.
var codes = []Code{
	BadJSON, UnknownType, BadRequest, NotJoined, Forbidden, AlreadyTaken,
	TooLarge, RateLimited, ChatFull, Unauthorized, Unavailable,
}

// Refusals counts the frames that one server refuses, by code.
type Refusals struct {
	all    *prometheus.CounterVec
	byCode map[Code]prometheus.Counter // resolved once
}

// NewRefusals makes the counters of a server, "chat" or "lobby".
func NewRefusals(server string) Refusals {
	r := Refusals{
		all: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name:        "livesupport_frames_refused_total",
			Help:        "Frames that were answered with an Error, by its code.",
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

// Metrics are the counters, to be registered once.
func (r Refusals) Metrics() []prometheus.Collector { return []prometheus.Collector{r.all} }

// Connections makes the gauge of one role's sockets.
func Connections(role string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "livesupport_connections",
		Help:        "Sockets, by whose they are; joining are those of the chat server that have not joined.",
		ConstLabels: prometheus.Labels{"role": role},
	})
}
