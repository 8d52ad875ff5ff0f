package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// reading is what a server's /metrics tell of its process.
type reading struct {
	at       time.Time
	cpu      float64 // seconds so far
	resident float64 // bytes
	files    float64 // that it may open; 0 if it does not tell
}

// gauge is one server and its readings: before any connection, with all of them
// at rest, when the load begins and when it ends.
type gauge struct {
	url                         string
	err                         error // the first one; then there are no figures
	empty, atRest, begin, ended reading
}

// gauges look at the servers' own figures.
type gauges struct {
	load       *load
	all        []*gauge
	heartbeats int64 // between begin and ended
}

// gauge takes the first reading of the servers at urls.
func (l *load) gauge(ctx context.Context, urls []string) *gauges {
	g := &gauges{load: l}
	for _, url := range urls {
		g.all = append(g.all, &gauge{url: url})
	}
	g.read(ctx, func(s *gauge) *reading { return &s.empty })
	return g
}

// settled is for when all connections are open, before when the load begins,
// after when it has ended.
func (g *gauges) settled(ctx context.Context) {
	g.read(ctx, func(s *gauge) *reading { return &s.atRest })
}
func (g *gauges) before(ctx context.Context) {
	g.read(ctx, func(s *gauge) *reading { return &s.begin })
}
func (g *gauges) after(ctx context.Context) { g.read(ctx, func(s *gauge) *reading { return &s.ended }) }

func (g *gauges) read(ctx context.Context, which func(*gauge) *reading) {
	for _, s := range g.all {
		if s.err != nil {
			continue
		}
		*which(s), s.err = g.load.metrics(ctx, s.url)
	}
}

func (l *load) metrics(ctx context.Context, base string) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/metrics", nil)
	if err != nil {
		return reading{}, err
	}
	response, err := l.http.Do(request)
	if err != nil {
		return reading{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return reading{}, fmt.Errorf("%s/metrics: %s", base, response.Status)
	}
	r := reading{at: time.Now(), cpu: -1, resident: -1}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch name {
		case "process_cpu_seconds_total":
			r.cpu = number
		case "process_resident_memory_bytes":
			r.resident = number
		case "process_max_fds":
			r.files = number
		}
	}
	if r.cpu < 0 || r.resident < 0 {
		return reading{}, errNoFigures
	}
	return r, nil
}

var errNoFigures = errors.New("/metrics tell neither CPU time nor memory: such a system has none")

// Server is what a server process needed for its part.
type Server struct {
	URL         string  `json:"url"`
	Error       string  `json:"error,omitempty"` // why there are no figures
	ResidentMiB float64 `json:"residentMiB"`     // when the load had ended
	// Memory that each connection has added to what the process had before; 0 if
	// none is to be seen, because the process has had as many before.
	KiBPerConnection float64 `json:"kibPerConnection,omitempty"`
	// CPU is the share of one processor under load, in percent; CPUAtRest the same
	// before, with all connections open.
	CPU       float64 `json:"cpuPercent"`
	CPUAtRest float64 `json:"cpuAtRestPercent,omitempty"`
	// seconds of CPU time under load, and less what rest would have cost
	gross, net float64
}

// opening is the servers' CPU time, in seconds, from before the first connection
// until all were open; 0 if one does not tell.
func (g *gauges) opening() (cpu float64) {
	for _, s := range g.all {
		if s.err != nil {
			return 0
		}
		cpu += s.atRest.cpu - s.empty.cpu
	}
	return cpu
}

func share(from, to reading) float64 {
	if d := to.at.Sub(from.at).Seconds(); d > 0 {
		return (to.cpu - from.cpu) / d
	}
	return 0
}

// servers are the figures of all servers, which share the connections evenly.
// loaded is the reading that counts for their memory.
func (g *gauges) servers(connections int, loaded func(*gauge) reading) []Server {
	var out []Server
	for _, s := range g.all {
		if s.err != nil || s.ended.at.IsZero() {
			text := "no reading"
			if s.err != nil {
				text = s.err.Error()
			}
			out = append(out, Server{URL: s.url, Error: text})
			continue
		}
		v := Server{URL: s.url, ResidentMiB: s.ended.resident / (1 << 20), CPU: 100 * share(s.begin, s.ended)}
		if connections > 0 {
			added := (loaded(s).resident - s.empty.resident) / 1024
			v.KiBPerConnection = max(0, added*float64(len(g.all))/float64(connections))
		}
		v.gross = s.ended.cpu - s.begin.cpu
		v.net = v.gross
		if rest := share(s.atRest, s.begin); s.begin.at.Sub(s.atRest.at) >= time.Second {
			v.CPUAtRest = 100 * rest
			v.net = max(0, v.gross-rest*s.ended.at.Sub(s.begin.at).Seconds())
		}
		out = append(out, v)
	}
	return out
}
