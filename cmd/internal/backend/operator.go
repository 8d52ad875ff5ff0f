package backend

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readiness tells whether the process should get traffic. Only the operator's port says
// what is missing.
type readiness struct {
	draining atomic.Bool
	parts    []readyPart
}

type readyPart struct {
	name   string
	ready  func() error
	needed bool // without it, the server is not ready; otherwise it only lags behind
}

var errDraining = errors.New("shutting down")

// check returns an error if a needed part is missing.
func (r *readiness) check() error {
	if r.draining.Load() {
		return errDraining
	}
	for _, part := range r.parts {
		if err := part.ready(); err != nil && part.needed {
			return err
		}
	}
	return nil
}

// missing returns the reason for each missing part.
func (r *readiness) missing() map[string]string {
	missing := map[string]string{}
	if r.draining.Load() {
		missing["server"] = errDraining.Error()
	}
	for _, part := range r.parts {
		if err := part.ready(); err != nil {
			missing[part.name] = err.Error()
		}
	}
	return missing
}

// figures has the two sets of metrics: those on every port, and those that only the
// operator's port shows if METRICS_ADDR is set.
type figures struct {
	public, operator *prometheus.Registry
}

func newFigures() figures {
	f := figures{prometheus.NewRegistry(), prometheus.NewRegistry()}
	f.public.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f.operator.MustRegister(buildInfo())
	return f
}

func (f figures) all() prometheus.Gatherer { return prometheus.Gatherers{f.public, f.operator} }

// operatorTimeout bounds each request to the operator's port.
const operatorTimeout = 10 * time.Second

// serveOperator serves the operator's port until the returned function is called.
func serveOperator(l net.Listener, f figures, r *readiness, keepAlive time.Duration, log *slog.Logger) (end func(context.Context) error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(f.all(), promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: operatorTimeout}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		missing, ready := r.missing(), r.check() == nil
		w.Header().Set("Content-Type", "application/json")
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(struct { // fails only with the connection
			Ready   bool              `json:"ready"`
			Missing map[string]string `json:"missing,omitempty"`
		}{ready, missing})
	})
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: operatorTimeout,
		ReadTimeout:       operatorTimeout,
		WriteTimeout:      2 * operatorTimeout,
		IdleTimeout:       keepAlive,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the operator's port failed", "error", err) // chats continue without it
		}
	})
	return func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		ended.Wait()
		return err
	}
}
