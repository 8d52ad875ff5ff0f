package chat

import (
	"context"
	"errors"
	"slices"
	"time"

	"livesupport/chat/log"
	"livesupport/lobby/wire"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The spans of a message or of a support's Join. receive is the parent of append, of deliver
// on the same server, and of publish, which is the parent of deliver on other servers.
const (
	spanRegister = "chat.register" // a registration
	spanReceive  = "chat.receive"  // from a valid Join or message until everything is done
	spanAppend   = "chat.append"   // until the fold has the event
	spanPublish  = "chat.publish"  // until the broker has the news
	spanDeliver  = "chat.deliver"  // until the last write to a socket
)

// endSpan ends a span. An expired chat does not count as a failure.
func endSpan(span trace.Span, err error) {
	if errors.Is(err, log.ErrGone) {
		err = nil
	}
	wire.EndSpan(span, err)
}

// traceparent returns the span of ctx in the form for other servers, empty unless it is
// sampled.
func traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// tracedNews is an entry from another server that was not delivered yet.
type tracedNews struct {
	seq   int64
	from  context.Context // context with the span of its publication
	began time.Time
}

// tracedBound is how many tracedNews a room remembers while it reads earlier entries. Further
// ones are delivered without a span.
const tracedBound = 64

// traceNews records the arrival of news of an entry. The caller holds mu.
func (r *room) traceNews(seq int64, entry []byte) {
	if r.service.tracer.Tracer == nil || len(r.traced) >= tracedBound {
		return
	}
	carrier := propagation.MapCarrier{"traceparent": traceparentOf(entry)}
	from := propagation.TraceContext{}.Extract(context.Background(), carrier)
	if trace.SpanContextFromContext(from).IsValid() { // its server traces it
		r.traced = append(r.traced, tracedNews{seq, from, time.Now()})
	}
}

// tracedUntilNow removes and returns those whose entries were applied by now. The caller holds
// mu.
func (r *room) tracedUntilNow() (delivered []tracedNews) {
	if len(r.traced) == 0 {
		return nil
	}
	r.traced = slices.DeleteFunc(r.traced, func(n tracedNews) bool {
		if n.seq > r.last {
			return false
		}
		delivered = append(delivered, n)
		return true
	})
	return delivered
}

// delivered makes the span of an entry that was delivered to the given number of sessions.
func (s *Service) delivered(n tracedNews, sessions int) {
	_, span := s.tracer.Start(n.from, spanDeliver, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(n.began))
	showSessions(span, sessions)
	span.End()
}

func showEvent(span trace.Span, e *log.Event, entry []byte) {
	if span.IsRecording() {
		span.SetAttributes(attribute.String("livesupport.event", string(e.Kind)), attribute.Int("livesupport.bytes", len(entry)))
	}
}

func showSessions(span trace.Span, sessions int) {
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("livesupport.sessions", sessions))
	}
}
