package backend

import (
	"context"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	timerate "golang.org/x/time/rate"

	"livesupport/lobby/wire"
)

// tracingWanted reads the OpenTelemetry variables that decide whether to send spans, and
// refuses what this exporter cannot do. The SDK itself reads the others (sampler, headers,
// certificates, sizes, resource) from the environment.
func tracingWanted(lookup func(variable string) (string, bool)) (bool, error) {
	value := func(variable string) string { // OpenTelemetry treats an empty variable as not set
		v, _ := lookup(variable)
		return strings.TrimSpace(v)
	}
	endpoints := []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"}
	given := slices.ContainsFunc(endpoints, func(variable string) bool { return value(variable) != "" })
	if strings.EqualFold(value("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := value("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false, nil
	case "otlp":
	case "":
		if !given {
			return false, nil
		}
	default:
		return false, usage("OTEL_TRACES_EXPORTER", exporter, "want otlp or none")
	}
	for _, variable := range endpoints {
		v := value(variable)
		if u, err := url.Parse(v); v != "" && (err != nil || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.Host == "") {
			return false, usage(variable, v, "want the URL of a collector such as http://localhost:4318")
		}
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if v := value(variable); v != "" {
			if v != "http/protobuf" && v != "http/json" {
				return false, usage(variable, v, "want http/protobuf or http/json; gRPC is not supported")
			}
			break // the first overrides the second
		}
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"} {
		if v := value(variable); v != "" && !areHeaders(v) { // the SDK would write it into the log
			return false, usage(variable, "***", "want name=value, comma-separated, values percent-encoded")
		}
	}
	return true, nil
}

func areHeaders(list string) bool {
	for header := range strings.SplitSeq(list, ",") {
		name, value, found := strings.Cut(header, "=")
		name = strings.TrimSpace(name)
		_, err := url.PathUnescape(value)
		if !found || name == "" || err != nil || strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
		}) {
			return false
		}
	}
	return true
}

// tracing counts spans and, once open, sends them.
type tracing struct {
	made, sent prometheus.Counter
}

func newTracing() tracing {
	return tracing{
		prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_spans_made_total",
			Help: "Spans made for the trace collector.",
		}),
		prometheus.NewCounter(prometheus.CounterOpts{
			Name: "livesupport_spans_sent_total",
			Help: "Spans that the trace collector has accepted. The others were dropped.",
		}),
	}
}

// flushTimeout is how long a shutdown waits for the collector.
const flushTimeout = time.Second

// open starts sending spans in the background. If the collector is slow or unavailable,
// the only effect is that spans are dropped when the queue is full (2,048 spans unless
// OTEL_BSP_MAX_QUEUE_SIZE is set). end sends the remaining spans and returns soon after
// flushTimeout.
func (t tracing) open(ctx context.Context, parts Parts, log *slog.Logger) (tracer wire.Tracer, end func(context.Context) error, err error) {
	// The SDK reports wrong variables to these handlers, which are global.
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing failed", "error", err) }))

	about, err := resource.New(ctx,
		resource.WithHost(),
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String("service.name", parts.service()),
			attribute.String("service.version", version),
			attribute.String("service.instance.id", wire.NewID()), // distinguishes the servers of one host
		),
		resource.WithFromEnv(), // overrides the rest
	)
	if err != nil {
		otel.Handle(err)
	}
	collector, err := otlptracehttp.New(ctx)
	if err != nil {
		return wire.Tracer{}, nil, UsageError("OTEL_EXPORTER_OTLP_*: " + err.Error())
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(about),
		sdktrace.WithSpanProcessor(countMade{
			sdktrace.NewBatchSpanProcessor(&countSent{
				SpanExporter: collector, sent: t.sent, log: log,
				complain: timerate.Sometimes{First: 1, Interval: time.Minute},
			}), t.made,
		}),
	)
	end = func(ctx context.Context) error {
		// This cuts off a request in progress and fails later ones.
		cut := time.AfterFunc(flushTimeout, func() { _ = collector.Shutdown(ctx) })
		defer cut.Stop()
		return provider.Shutdown(ctx)
	}
	return wire.Tracer{Tracer: provider.Tracer("livesupport")}, end, nil
}

// service is the default of OTEL_SERVICE_NAME.
func (p Parts) service() string {
	switch p {
	case Chat:
		return "chatserver"
	case Lobby:
		return "lobby"
	}
	return "livesupport"
}

// countMade counts all sampled spans, including those that the full queue drops.
type countMade struct {
	sdktrace.SpanProcessor
	made prometheus.Counter
}

func (c countMade) OnEnd(span sdktrace.ReadOnlySpan) {
	if span.SpanContext().IsSampled() {
		c.made.Inc()
	}
	c.SpanProcessor.OnEnd(span)
}

// countSent counts the spans that the collector accepted, and logs at most once a minute
// that some were not accepted.
type countSent struct {
	sdktrace.SpanExporter
	sent     prometheus.Counter
	log      *slog.Logger
	complain timerate.Sometimes
}

func (c *countSent) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		c.sent.Add(float64(len(spans)))
		return nil
	}
	c.complain.Do(func() {
		c.log.Warn("the trace collector did not accept spans; logged once a minute at most", "spans", len(spans), "error", err)
	})
	return nil // otherwise the SDK would log it every time
}
