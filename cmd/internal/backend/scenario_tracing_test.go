package backend_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"livesupport/cmd/internal/backend"
)

// asInEnvironment takes from the environment whether to trace, as a process does.
func asInEnvironment(t *testing.T) tuning {
	t.Helper()
	parsed, err := backend.Parse("livesupport", nil, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *backend.Config) {
		c.Tracing = parsed.Tracing
		c.MetricsAddr = "127.0.0.1:0"
	}
}

// aSpan is a span and the process that has made it.
type aSpan struct {
	*tracepb.Span
	service, instance string
}

func (s aSpan) attribute(key string) string { return attributeOf(s.Attributes, key) }

func attributeOf(all []*commonpb.KeyValue, key string) string {
	for _, kv := range all {
		if kv.Key == key {
			return kv.Value.GetStringValue()
		}
	}
	return ""
}

// A collector is what spans are sent to.
type collector struct {
	url string

	mu     sync.Mutex
	bodies [][]byte
	spans  []aSpan
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request coltracepb.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
			http.Error(w, "not spans", http.StatusBadRequest)
			return
		}
		c.take(body, &request)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *collector) take(body []byte, request *coltracepb.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies = append(c.bodies, body)
	for _, from := range request.ResourceSpans {
		of := from.Resource.Attributes
		for _, scope := range from.ScopeSpans {
			for _, span := range scope.Spans {
				c.spans = append(c.spans, aSpan{span, attributeOf(of, "service.name"), attributeOf(of, "service.instance.id")})
			}
		}
	}
}

// find returns the spans that fit, in the order of their start.
func (c *collector) find(fits func(aSpan) bool) []aSpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []aSpan
	for _, s := range c.spans {
		if fits(s) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b aSpan) int { return int(int64(a.StartTimeUnixNano - b.StartTimeUnixNano)) })
	return found
}

// expectOne waits for the one span that fits.
func (c *collector) expectOne(w *world, what string, fits func(aSpan) bool) aSpan {
	w.Helper()
	var found []aSpan
	w.eventually(what, func() bool {
		found = c.find(fits)
		return len(found) > 0
	})
	if len(found) > 1 {
		w.Fatalf("%d of %s", len(found), what)
	}
	return found[0]
}

// expectReceived wants the span of the one frame of this kind and side.
func (c *collector) expectReceived(w *world, kind, from string) aSpan {
	w.Helper()
	return c.expectOne(w, kind+" of "+from, func(s aSpan) bool {
		return s.Name == "chat.receive" && s.attribute("livesupport.type") == kind && s.attribute("livesupport.from") == from
	})
}

// expectWay wants the trace of a message from one server to the other, whole and
// with nothing else in it, and returns its first span.
func (c *collector) expectWay(w *world, from string) aSpan {
	w.Helper()
	received := c.expectReceived(w, "ChatMessage", from)
	below := func(parent aSpan, name string) aSpan {
		w.Helper()
		return c.expectOne(w, name+" below "+parent.Name, func(s aSpan) bool {
			return s.Name == name && bytes.Equal(s.ParentSpanId, parent.SpanId) && bytes.Equal(s.TraceId, parent.TraceId)
		})
	}
	appended, here := below(received, "chat.append"), below(received, "chat.deliver")
	published := below(received, "chat.publish")
	there := below(published, "chat.deliver")
	if len(received.ParentSpanId) > 0 {
		w.Error("the first span has a parent")
	}
	if all := c.find(func(s aSpan) bool { return bytes.Equal(s.TraceId, received.TraceId) }); len(all) != 5 {
		w.Errorf("%d spans in the trace: %v", len(all), all)
	}
	for _, s := range []aSpan{received, appended, here, published, there} {
		if s.service != "chatserver" {
			w.Errorf("%s is of service %q", s.Name, s.service)
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano || s.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET {
			w.Errorf("%v", s)
		}
		if (s.instance == received.instance) == (s.Name == "chat.deliver" && bytes.Equal(s.SpanId, there.SpanId)) {
			w.Errorf("%s below %x is on the wrong server", s.Name, s.ParentSpanId)
		}
	}
	if there.StartTimeUnixNano < published.StartTimeUnixNano {
		w.Error("delivered before it was published")
	}
	return received
}

// TestTraces follows messages from one server to the other. It is not parallel
// to others: the SDK reads the process's environment.
func TestTraces(t *testing.T) {
	for _, p := range places {
		if !p.split {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			c := startCollector(t)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.url)
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
			w := p.start(t, asInEnvironment(t)).world(t)
			agent := w.agents(1)[0]
			v := w.register("Nika")
			user := w.userAt(w.chats[0], v)
			agent.expectAnnounced(v)
			agent.send("JoinUser", v.claim())
			agent.expectRemoved(v)
			support := w.supportAt(w.chats[1], v, "Vika")
			user.expectSupportJoined()
			joined := c.expectReceived(w, "Join", "Support")
			user.said("a secret between us", support)
			asked := c.expectWay(w, "User")
			support.said("and another one", user)
			answered := c.expectWay(w, "Support")
			if asked.instance == answered.instance || joined.instance != answered.instance {
				t.Error("the servers cannot be told apart")
			}
			for name, service := range map[string]string{"chat.register": "chatserver", "lobby.claim": "lobby"} {
				if s := c.expectOne(w, name, func(s aSpan) bool { return s.Name == name }); s.service != service {
					t.Errorf("%s is of service %q", name, s.service)
				}
			}
			w.eventually("all are counted", func() bool {
				return w.figure("livesupport_spans_made_total") == w.figure("livesupport_spans_sent_total")
			})

			entries, err := w.redis().LRange(t.Context(), "chat:{"+v.chatID+"}", 0, -1).Result()
			if err != nil || len(entries) < 4 || strings.Contains(strings.Join(entries, ""), "traceparent") {
				t.Errorf("the log: %v, %v", entries, err)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			all := bytes.Join(c.bodies, nil)
			for _, secret := range []string{v.chatID, v.userID, v.supportID, "Nika", "Vika", "secret", "another"} {
				if bytes.Contains(all, []byte(secret)) {
					t.Errorf("the collector was told %q", secret)
				}
			}
		})
	}
}

// TestTracesOff: an endpoint alone is not enough where the SDK is switched off.
func TestTracesOff(t *testing.T) {
	c := startCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.url)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	t.Setenv("OTEL_SDK_DISABLED", "true")
	d := places[1].start(t, asInEnvironment(t))
	w := d.world(t)
	_, user, support := w.couple()
	user.said("hello", support)
	if made := w.figure("livesupport_spans_made_total"); made != 0 {
		t.Errorf("%v spans made", made)
	}
	for _, b := range d.backends { // what there is would be sent now
		stop(t, b)
	}
	if all := c.find(func(aSpan) bool { return true }); len(all) > 0 {
		t.Errorf("the collector got %v", all)
	}
}

// TestDeadCollector: without a collector, or with one that never answers, chats go
// on as ever, and the end comes in time.
func TestDeadCollector(t *testing.T) {
	for name, listen := range map[string]func(t *testing.T) (url string){
		"away":   func(t *testing.T) string { return "http://" + unusedPort(t) },
		"silent": silentServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", listen(t))
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
			tune := asInEnvironment(t)
			d := places[1].start(t, func(c *backend.Config) {
				tune(c)
				unlimited(c)
			})
			w := d.world(t)
			_, user, support := w.couple()
			for range 50 {
				start := time.Now()
				user.said("ping", support)
				support.said("pong", user)
				if took := time.Since(start); took > slowness*time.Second {
					t.Fatalf("two messages took %v", took)
				}
			}
			w.expectFigure("livesupport_messages_total", 100)
			if made, sent := w.figure("livesupport_spans_made_total"), w.figure("livesupport_spans_sent_total"); made < 500 || sent != 0 {
				t.Errorf("%v spans made, %v sent", made, sent)
			}
			var stopping sync.WaitGroup
			start := time.Now()
			for _, b := range d.backends {
				stopping.Go(func() { stop(t, b) })
			}
			stopping.Wait()
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("the shutdown took %v", took)
			}
		})
	}
}

// unusedPort is an address at which nobody listens.
func unusedPort(t *testing.T) string {
	t.Helper()
	l := listenLocally(t)
	defer l.Close()
	return l.Addr().String()
}

// silentServer takes connections and never answers.
func silentServer(t *testing.T) string {
	t.Helper()
	l := listenLocally(t)
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String() // the system takes them
}

func listenLocally(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
