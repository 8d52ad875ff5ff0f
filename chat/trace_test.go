package chat

import (
	"context"
	"testing"

	"livesupport/lobby/wire"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// If an entry's predecessors must be read before it, its trace is kept.
func TestTraceOfLateDelivery(t *testing.T) {
	made := tracetest.NewSpanRecorder()
	tracer := wire.Tracer{Tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(made)).Tracer("")}
	ctx, published := tracer.Begin(context.Background(), spanPublish, trace.SpanKindProducer)
	e := benchEvent(1)
	_, traced, err := decodeNews(encodeNews(5, e.Encode(), traceparent(ctx)))
	if err != nil {
		t.Fatal(err)
	}
	r := &room{service: &Service{tracer: tracer, metrics: newMetrics(), frame: webFrame}, state: benchState(1), last: 3}
	r.sessions = []*Session{{peer: &sink{}}}
	r.traceNews(5, traced)
	r.traceNews(5, e.Encode())                        // not traced
	r.traceNews(5, []byte(`{"traceparent":"00-0-",`)) // malformed
	r.flush()
	if n := len(made.Ended()); n != 0 {
		t.Fatalf("%d spans before the entry was there", n)
	}
	r.last = 5
	r.flush()
	r.flush()
	all := made.Ended()
	if len(all) != 1 || all[0].Name() != spanDeliver || all[0].Parent().SpanID() != published.SpanContext().SpanID() {
		t.Fatalf("%v", all)
	}
	for range 2 * tracedBound {
		r.traceNews(9, traced)
	}
	if len(r.traced) != tracedBound {
		t.Errorf("%d are remembered", len(r.traced))
	}
}

// A server that does not trace, or whose span is not sampled, tells others nothing.
func TestTraceparent(t *testing.T) {
	for name, tracer := range map[string]wire.Tracer{
		"off":         {},
		"not sampled": {Tracer: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())).Tracer("")},
	} {
		ctx, span := tracer.Begin(context.Background(), spanPublish, trace.SpanKindProducer)
		if got := traceparent(ctx); got != "" {
			t.Errorf("%s: %s", name, got)
		}
		span.End()
	}
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := wire.Tracer{}.Begin(context.Background(), spanPublish, trace.SpanKindProducer)
		_ = traceparent(ctx)
		endSpan(span, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
