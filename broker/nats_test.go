package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"livesupport/broker"
	"livesupport/broker/brokertest"
)

func TestNATSFile(t *testing.T) {
	brokertest.Run(t, func(t testing.TB) brokertest.Harness {
		return newNATSHarness(t, broker.NATSConfig{URLs: brokertest.StartEmbeddedNATS(t).URL()})
	})
}

func TestNATSMemory(t *testing.T) {
	brokertest.Run(t, func(t testing.TB) brokertest.Harness {
		return newNATSHarness(t, broker.NATSConfig{URLs: brokertest.StartEmbeddedNATS(t).URL(), Memory: true, Prefix: "shop"})
	})
}

// natsHarness makes brokers on the NATS servers of its configuration.
type natsHarness struct{ cfg broker.NATSConfig }

// newNATSHarness makes sure that the stream exists, because its goroutines belong to the servers.
func newNATSHarness(t testing.TB, cfg broker.NATSConfig) natsHarness {
	t.Helper()
	b, err := broker.NewNATS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	awaitReady(t, b, 20*time.Second)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return natsHarness{cfg}
}

func (h natsHarness) Broker(t testing.TB) broker.Broker {
	t.Helper()
	b, err := broker.NewNATS(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close broker: %v", err)
		}
	})
	return b
}

func (h natsHarness) Proxied(t testing.TB) (broker.Broker, brokertest.Fault) {
	t.Helper()
	first, _, _ := strings.Cut(h.cfg.URLs, ",")
	proxy := brokertest.StartProxy(t, strings.TrimPrefix(first, "nats://"))
	h.cfg.URLs = "nats://" + proxy.Addr()
	return h.Broker(t), proxy
}

func awaitReady(t testing.TB, b broker.Broker, within time.Duration) {
	t.Helper()
	await(t, within, func() error { return b.Ready() })
}

// await polls until check returns nil.
func await(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %v", within, err)
		}
	}
}

// heard is a Handler that keeps payloads; a gap is "GAP".
type heard struct {
	mu  sync.Mutex
	all []string
}

func (h *heard) Message(payload []byte) { h.add(string(payload)) }
func (h *heard) Gap()                   { h.add("GAP") }

func (h *heard) add(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, s)
}

func (h *heard) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

func (h *heard) await(t testing.TB, want ...string) {
	t.Helper()
	await(t, 15*time.Second, func() error {
		if got := h.list(); !slices.Equal(got, want) {
			return fmt.Errorf("got %.300q, want %.300q", got, want)
		}
		return nil
	})
}

func subscribe(t testing.TB, b broker.Broker, topic string) *heard {
	t.Helper()
	h := new(heard)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := b.Subscribe(ctx, topic, h); err != nil {
		t.Fatal(err)
	}
	return h
}

func publish(t testing.TB, b broker.Broker, topic, payload string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Publish(ctx, topic, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

// client is a stock client of NATS.
func client(t testing.TB, url string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// TestNATSReplays checks that a subscriber who was cut off gets what was published meanwhile, with
// few topics and with many, and that no consumer is left.
func TestNATSReplays(t *testing.T) {
	for name, others := range map[string]int{"few topics": 0, "many topics": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newNATSHarness(t, broker.NATSConfig{URLs: brokertest.StartEmbeddedNATS(t).URL()})
			publisher := h.Broker(t)
			awaitReady(t, publisher, 5*time.Second)
			b, fault := h.Proxied(t)
			var silent []*heard
			for i := range others {
				silent = append(silent, subscribe(t, b, fmt.Sprint("chat:silent", i)))
			}
			users, chat := subscribe(t, b, "users"), subscribe(t, b, "chat:one")
			publish(t, publisher, "users", "before")
			publish(t, publisher, "chat:one", "before")
			users.await(t, "before")
			chat.await(t, "before")
			for _, harm := range []func(){fault.Cut, fault.Stall} {
				harm()
				await(t, 5*time.Second, func() error {
					if b.Ready() == nil {
						return fmt.Errorf("it is ready")
					}
					return nil
				})
				for i := range 50 {
					publish(t, publisher, "users", fmt.Sprint(i))
					publish(t, publisher, "chat:one", fmt.Sprint("one ", i))
					publish(t, publisher, "chat:nobody's", fmt.Sprint(i))
				}
				fault.Heal()
				awaitReady(t, b, 5*time.Second)
			}
			publish(t, publisher, "users", "after")
			publish(t, publisher, "chat:one", "after")
			wantUsers, wantChat := []string{"before"}, []string{"before"}
			for range 2 {
				for i := range 50 {
					wantUsers = append(wantUsers, fmt.Sprint(i))
					wantChat = append(wantChat, fmt.Sprint("one ", i))
				}
			}
			users.await(t, append(wantUsers, "after")...)
			chat.await(t, append(wantChat, "after")...)
			for _, s := range silent {
				s.await(t)
			}
			_, js := client(t, h.cfg.URLs)
			await(t, 5*time.Second, func() error {
				stream, err := js.Stream(t.Context(), "LIVESUPPORT")
				if err == nil && stream.CachedInfo().State.Consumers != 0 {
					err = fmt.Errorf("%d consumers are left", stream.CachedInfo().State.Consumers)
				}
				return err
			})
		})
	}
}

// TestNATSGap checks that subscribers are told of a gap if the stream no longer has what they
// missed.
func TestNATSGap(t *testing.T) {
	for name, meddle := range map[string]func(context.Context, jetstream.JetStream) error{
		"purged": func(ctx context.Context, js jetstream.JetStream) error {
			stream, err := js.Stream(ctx, "LIVESUPPORT")
			if err != nil {
				return err
			}
			return stream.Purge(ctx)
		},
		"created anew": func(ctx context.Context, js jetstream.JetStream) error {
			stream, err := js.Stream(ctx, "LIVESUPPORT")
			if err != nil {
				return err
			}
			if err := js.DeleteStream(ctx, "LIVESUPPORT"); err != nil {
				return err
			}
			cfg := stream.CachedInfo().Config
			for end := time.Now().Add(5 * time.Second); ; { // the server may still be removing files
				if _, err = js.CreateStream(ctx, cfg); err == nil {
					break
				}
				if time.Now().After(end) {
					return err
				}
				time.Sleep(10 * time.Millisecond)
			}
			for range 100 { // as far as it was
				if _, err := js.Publish(ctx, "chat.other", nil); err != nil {
					return err
				}
			}
			return nil
		},
		"deleted": func(ctx context.Context, js jetstream.JetStream) error {
			return js.DeleteStream(ctx, "LIVESUPPORT")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newNATSHarness(t, broker.NATSConfig{URLs: brokertest.StartEmbeddedNATS(t).URL()})
			publisher := h.Broker(t)
			awaitReady(t, publisher, 5*time.Second)
			b, fault := h.Proxied(t)
			chat := subscribe(t, b, "chat:one")
			idle := subscribe(t, b, "chat:idle")
			publish(t, publisher, "chat:one", "before")
			chat.await(t, "before")
			fault.Cut()
			await(t, 5*time.Second, func() error {
				if b.Ready() == nil {
					return fmt.Errorf("it is ready")
				}
				return nil
			})
			publish(t, publisher, "chat:one", "lost")
			_, js := client(t, h.cfg.URLs)
			if err := meddle(t.Context(), js); err != nil {
				t.Fatal(err)
			}
			fault.Heal()
			awaitReady(t, b, 10*time.Second)
			await(t, 10*time.Second, func() error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return publisher.Publish(ctx, "chat:one", []byte("after"))
			})
			chat.await(t, "before", "GAP", "after")
			idle.await(t, "GAP")
		})
	}
	t.Run("deleted while connected", func(t *testing.T) {
		t.Parallel()
		h := newNATSHarness(t, broker.NATSConfig{URLs: brokertest.StartEmbeddedNATS(t).URL()})
		b := h.Broker(t)
		chat := subscribe(t, b, "chat:one")
		publish(t, b, "chat:one", "before")
		_, js := client(t, h.cfg.URLs)
		if err := js.DeleteStream(t.Context(), "LIVESUPPORT"); err != nil {
			t.Fatal(err)
		}
		chat.await(t, "before", "GAP")
		awaitReady(t, b, 10*time.Second)
		publish(t, b, "chat:one", "after")
		chat.await(t, "before", "GAP", "after")
	})
}

// TestNATSStockTools checks that ordinary clients see what is published, and may publish.
func TestNATSStockTools(t *testing.T) {
	h := newNATSHarness(t, broker.NATSConfig{URLs: brokertest.StartEmbeddedNATS(t).URL()})
	b := h.Broker(t)
	users := subscribe(t, b, "users")
	nc, js := client(t, h.cfg.URLs)
	sub, err := nc.SubscribeSync("users")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	const event = `{"type":"RemoveUser","args":{"userId":"1"}}`
	publish(t, b, "users", event)
	msg, err := sub.NextMsg(5 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if string(msg.Data) != event || msg.Header.Get("Nats-Msg-Id") == "" {
		t.Errorf("a plain subscriber got %q with %v", msg.Data, msg.Header)
	}
	if err := nc.Publish("users", []byte("from outside")); err != nil {
		t.Fatal(err)
	}
	users.await(t, event, "from outside")

	stream, err := js.Stream(t.Context(), "LIVESUPPORT")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if cfg.MaxAge <= 0 || cfg.MaxAge >= 5*time.Minute || cfg.MaxBytes <= 0 || cfg.MaxMsgSize <= broker.MaxPayload {
		t.Errorf("limits of the stream: %+v", cfg)
	}
}

// awaitSignal waits until one broker hears a signal of another.
func awaitSignal(t *testing.T, from, to broker.Broker) {
	t.Helper()
	var signals heard
	to.Listen("chat:one", func(payload []byte) { signals.add(string(payload)) }, nil)
	await(t, 5*time.Second, func() error {
		if err := from.Signal("chat:one", []byte("signal")); err != nil {
			return err
		}
		if len(signals.list()) == 0 {
			return errors.New("nothing is heard")
		}
		return nil
	})
}

// TestNATSStoresNoSignals checks that the stream keeps no signals.
func TestNATSStoresNoSignals(t *testing.T) {
	h := newNATSHarness(t, broker.NATSConfig{URLs: brokertest.StartEmbeddedNATS(t).URL()})
	a, b := h.Broker(t), h.Broker(t)
	awaitReady(t, b, 5*time.Second)
	awaitReady(t, a, 5*time.Second)
	awaitSignal(t, b, a)
	chat := subscribe(t, a, "chat:one")
	publish(t, b, "chat:one", "event")
	chat.await(t, "event")
	_, js := client(t, h.cfg.URLs)
	stream, err := js.Stream(t.Context(), "LIVESUPPORT")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	for subject, n := range info.State.Subjects {
		if subject == "chat.one" && n == 1 || strings.HasPrefix(subject, "chat.%%") { // marks of this server
			continue
		}
		t.Errorf("the stream has %d messages of %s", n, subject)
	}
	if info.State.Subjects["chat.one"] != 1 {
		t.Error("the stream does not have the event")
	}
}

// TestNATSPrefixOfSignals checks that two deployments on one NATS do not hear each
// other's signals.
func TestNATSPrefixOfSignals(t *testing.T) {
	url := brokertest.StartEmbeddedNATS(t).URL()
	signalsKeepTheirDeployment(t, func(prefix string) broker.Broker {
		return newNATSHarness(t, broker.NATSConfig{URLs: url, Prefix: prefix}).Broker(t)
	})
}

// signalsKeepTheirDeployment has each of three deployments signal on one topic.
func signalsKeepTheirDeployment(t *testing.T, open func(prefix string) broker.Broker) {
	t.Helper()
	prefixes := []string{"", "a", "b"}
	all := make([]broker.Broker, len(prefixes))
	signals := make([]heard, len(prefixes))
	for i, prefix := range prefixes {
		all[i] = open(prefix)
		all[i].Listen("chat:one", func(payload []byte) { signals[i].add(string(payload)) }, nil)
		awaitReady(t, all[i], 10*time.Second)
	}
	for i, prefix := range prefixes {
		await(t, 10*time.Second, func() error {
			if err := all[i].Signal("chat:one", []byte(prefix)); err != nil {
				return err
			}
			if len(signals[i].list()) == 0 {
				return errors.New("nothing is heard")
			}
			return nil
		})
	}
	for i, prefix := range prefixes {
		for _, got := range signals[i].list() {
			if got != prefix {
				t.Errorf("%q heard %q", prefix, got)
			}
		}
	}
}
