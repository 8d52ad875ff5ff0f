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

// The spans of a message, or of a support's Join: receive is the parent of
// append, of the deliver of its own server and of publish, which is the parent
// of the others' deliver.
const (
	spanRegister = "chat.register" // a registration
	spanReceive  = "chat.receive"  // a Join or message that has passed the checks, until all is done
	spanAppend   = "chat.append"   // until the fold has taken the event
	spanPublish  = "chat.publish"  // until the broker has taken the news
	spanDeliver  = "chat.deliver"  // until the last write to a socket
)

// endSpan ends a span. That a chat has expired is no failure.
func endSpan(span trace.Span, err error) {
	if errors.Is(err, log.ErrGone) {
		err = nil
	}
	wire.EndSpan(span, err)
}

// traceparent is the span of ctx as other servers are told of it; empty unless
// it is sampled.
func traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// tracedNews is an entry from elsewhere that has not been delivered yet.
type tracedNews struct {
	seq   int64
	from  context.Context // has the span of its publication
	began time.Time
}

// tracedBound is of how many entries a room remembers that, while it reads what
// lies before them. Those after them are delivered without a span.
const tracedBound = 64

// traceNews notes that news of an entry has come. The caller holds mu.
func (r *room) traceNews(seq int64, entry []byte) {
	if r.service.tracer.Tracer == nil || len(r.traced) >= tracedBound {
		return
	}
	carrier := propagation.MapCarrier{"traceparent": traceparentOf(entry)}
	from := propagation.TraceContext{}.Extract(context.Background(), carrier)
	if trace.SpanContextFromContext(from).IsValid() { // it is traced where it comes from
		r.traced = append(r.traced, tracedNews{seq, from, time.Now()})
	}
}

// tracedUntilNow returns those whose entries have been applied by now, once. The
// caller holds mu.
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

// delivered makes the span of an entry that has been delivered to so many sessions.
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
