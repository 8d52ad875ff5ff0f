package wire

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracer begins spans. The zero Tracer begins none and allocates nothing.
type Tracer struct{ trace.Tracer }

// Begin starts a span as a child of the span in ctx, and returns it with a context that
// contains it. The caller must End it. Check IsRecording before making attributes, which
// cost time even if nobody wants them. A span must never contain an id, a name or anything
// that a client can choose: a chat's id is a secret.
func (t Tracer) Begin(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	if t.Tracer == nil {
		return ctx, noop.Span{}
	}
	return t.Start(ctx, name, trace.WithSpanKind(kind))
}

// EndSpan ends a span. Of an error it records the code that a client would see, not the
// text, which may name a chat.
func EndSpan(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		code := Public(err).Code
		span.SetAttributes(attribute.String("livesupport.code", string(code)))
		if code == Unavailable {
			span.SetStatus(otelcodes.Error, "")
		}
	}
	span.End()
}
