package backend

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

func TestTracingWanted(t *testing.T) {
	const endpoint, tracesEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	const here = "http://localhost:4318"
	for _, test := range []struct {
		env  []string
		want bool
		bad  string
	}{
		{env: nil},
		{env: []string{"OTEL_SERVICE_NAME", "x"}},
		{env: []string{endpoint, ""}},
		{env: []string{endpoint, here}, want: true},
		{env: []string{tracesEndpoint, "https://collector.example/v1/traces"}, want: true},
		{env: []string{"OTEL_TRACES_EXPORTER", "otlp"}, want: true},
		{env: []string{"OTEL_TRACES_EXPORTER", "none", endpoint, here}},
		{env: []string{"OTEL_SDK_DISABLED", "TRUE", endpoint, here}},
		{env: []string{"OTEL_SDK_DISABLED", "true", endpoint, "rubbish"}},
		{env: []string{"OTEL_SDK_DISABLED", "false", endpoint, here}, want: true},
		{env: []string{endpoint, here, "OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"}, want: true},
		{env: []string{endpoint, here, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"}, want: true},
		{env: []string{endpoint, here, "OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VjcmV0, x-tenant = a"}, want: true},
		{env: []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}}, // for others

		{env: []string{"OTEL_TRACES_EXPORTER", "zipkin"}, bad: `OTEL_TRACES_EXPORTER="zipkin": want otlp or none`},
		{env: []string{endpoint, "localhost:4318"}, bad: `OTEL_EXPORTER_OTLP_ENDPOINT="localhost:4318": want the URL of a collector such as http://localhost:4318`},
		{env: []string{tracesEndpoint, "http://u:secret@", endpoint, here}, bad: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://***@": want the URL of a collector such as http://localhost:4318`},
		{env: []string{endpoint, here, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, bad: `OTEL_EXPORTER_OTLP_PROTOCOL="grpc": want http/protobuf or http/json; gRPC is not supported`},
		{env: []string{endpoint, here, "OTEL_EXPORTER_OTLP_HEADERS", "secret"}, bad: `OTEL_EXPORTER_OTLP_HEADERS="***": want name=value, comma-separated, values percent-encoded`},
		{env: []string{endpoint, here, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=%secret"}, bad: `OTEL_EXPORTER_OTLP_TRACES_HEADERS="***": want name=value, comma-separated, values percent-encoded`},
		{env: []string{endpoint, here, "OTEL_EXPORTER_OTLP_HEADERS", "a=secret,my secret=b"}, bad: `OTEL_EXPORTER_OTLP_HEADERS="***": want name=value, comma-separated, values percent-encoded`},
	} {
		cfg, err := Parse("chatserver", nil, environment(test.env...))
		if test.bad != "" {
			require.Equal(t, UsageError(test.bad), err, test.env)
			continue
		}
		require.NoError(t, err, test.env)
		require.Equal(t, test.want, cfg.Tracing, test.env)
	}
}

// logBuffer is what a log writes to.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func count(t *testing.T, counter prometheus.Counter) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(counter))
	families, err := registry.Gather()
	require.NoError(t, err)
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// noneLeft wants all goroutines ended but those of idle connections, which the
// SDK's transport closes by itself.
func noneLeft(t *testing.T, before goleak.Option) {
	t.Helper()
	goleak.VerifyNone(t, before,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// TestCollectorFails: what a collector does not take is said once, and nothing is
// left behind.
func TestCollectorFails(t *testing.T) {
	before := goleak.IgnoreCurrent()
	asked := make(chan struct{}, 1000)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		http.Error(w, "no room", http.StatusInsufficientStorage)
	}))
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	var log logBuffer
	spans := newTracing()
	tracer, end, err := spans.open(t.Context(), Chat, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	for range 20 {
		_, span := tracer.Begin(t.Context(), "test", trace.SpanKindInternal)
		span.End()
	}
	for range 20 {
		<-asked
	}
	require.NoError(t, end(t.Context()))
	collector.Close()
	require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
	require.Contains(t, log.String(), "no room")
	require.InDelta(t, 20, count(t, spans.made), 0)
	require.Zero(t, count(t, spans.sent))
	noneLeft(t, before)
}

// TestCollectorIsSilent: the end does not wait for one that does not answer.
func TestCollectorIsSilent(t *testing.T) {
	before := goleak.IgnoreCurrent()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // the system takes the connections
	require.NoError(t, err)
	defer silent.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+silent.Addr().String())
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	spans := newTracing()
	tracer, end, err := spans.open(t.Context(), Chat, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	start := time.Now()
	for range 1000 {
		_, span := tracer.Begin(t.Context(), "test", trace.SpanKindInternal)
		span.End()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, end(ctx))
	require.Less(t, time.Since(start), 5*time.Second)
	noneLeft(t, before)
}
