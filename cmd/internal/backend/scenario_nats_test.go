package backend_test

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"livesupport/broker/brokertest"
	"livesupport/cmd/internal/backend"
)

// nats is a stock client of the broker.
func (w *world) nats() *nats.Conn {
	w.Helper()
	conn, err := nats.Connect(w.natsURL)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(conn.Close)
	return conn
}

// hearNATS listens as `nats sub users` does.
func (ch *channel) hearNATS() {
	ch.w.Helper()
	conn := ch.w.nats()
	if _, err := conn.Subscribe("users", func(m *nats.Msg) { ch.hear(string(m.Data)) }); err != nil {
		ch.w.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		ch.w.Fatal(err)
	}
}

// usersPublisher returns what publishes on `users` with stock tools.
func (w *world) usersPublisher() func(payload string) {
	w.Helper()
	var publish func(payload string) error
	if w.natsURL != "" {
		conn := w.nats()
		publish = func(payload string) error { return conn.Publish("users", []byte(payload)) }
	} else {
		store := w.redis()
		publish = func(payload string) error { return store.Publish(context.Background(), "users", payload).Err() }
	}
	return func(payload string) {
		w.Helper()
		if err := publish(payload); err != nil {
			w.Fatal(err)
		}
	}
}

// TestScenarioNATSAway takes NATS away in the middle of conversations.
func TestScenarioNATSAway(t *testing.T) {
	t.Parallel()
	all := scenarios{}
	for name, harm := range map[string]func(brokertest.Fault){"gone": brokertest.Fault.Cut, "says nothing": brokertest.Fault.Stall} {
		all[name] = func(w *world) {
			wire := brokertest.StartProxy(w.T, strings.TrimPrefix(brokertest.StartEmbeddedNATS(w.T).URL(), "nats://"))
			p := place{split: true, open: func(t *testing.T, cfg *backend.Config) {
				embeddedRedis(t, cfg)
				cfg.Broker, cfg.NATSURL = "nats", "nats://"+wire.Addr()
			}}
			w.deployment = p.start(w.T, func(cfg *backend.Config) { cfg.MetricsAddr = "127.0.0.1:0" })
			natsAway(w, wire, harm)
		}
	}
	atOnce(t, all, func(t *testing.T, run func(*world)) { run(&world{T: t}) })
}

// fullDisk is a NATS server whose disk is full while it is cut: it switches JetStream
// off by itself then, and has it again when its operator has made room.
type fullDisk struct {
	brokertest.Fault
	w      *world
	server *server.Server
	config server.JetStreamConfig
}

func startNATSOnDisk(w *world) *fullDisk {
	w.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: w.TempDir(),
		JetStreamMaxMemory: 160 << 20, JetStreamMaxStore: 512 << 20, NoSigs: true, NoLog: true,
	})
	if err != nil {
		w.Fatal(err)
	}
	s.Start()
	w.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		w.Fatal("the server does not start")
	}
	return &fullDisk{w: w, server: s, config: *s.JetStreamConfig()}
}

func (d *fullDisk) Cut() {
	if err := d.server.DisableJetStream(); err != nil {
		d.w.Fatal(err)
	}
}

func (d *fullDisk) Heal() {
	config := d.config
	config.StoreDir = filepath.Dir(config.StoreDir) // enabling adds a folder of its own
	if err := d.server.EnableJetStream(&config); err != nil {
		d.w.Fatal(err)
	}
}

// TestScenarioNATSDiskFull: messages are taken while NATS stores nothing, and what
// is late arrives when it stores again.
func TestScenarioNATSDiskFull(t *testing.T) {
	if slowness > 1 {
		t.Skip("switching JetStream on is a data race within nats-server; it runs without the detector")
	}
	t.Parallel()
	w := &world{T: t}
	disk := startNATSOnDisk(w)
	p := place{split: true, open: func(t *testing.T, cfg *backend.Config) {
		embeddedRedis(t, cfg)
		cfg.Broker, cfg.NATSURL = "nats", disk.server.ClientURL()
	}}
	w.deployment = p.start(t, func(cfg *backend.Config) { cfg.MetricsAddr = "127.0.0.1:0" })
	natsAway(w, disk, brokertest.Fault.Cut)
}

func natsAway(w *world, wire brokertest.Fault, harm func(brokertest.Fault)) {
	agents := w.agents(2)
	v := w.register("Nika")
	user := w.userAt(w.chats[0], v)
	each(agents, func(a *client) { a.expectAnnounced(v) })
	near := w.supportAt(w.chats[0], v, "Vika")
	user.expectSupportJoined()
	each(agents, func(a *client) { a.expectRemoved(v) })
	far := w.chatAt(w.chats[1], v)
	far.rejoins("Support")
	far.expectHistory()
	said := []obj{user.said("before", near, far)}

	harm(wire)
	for _, b := range w.backends {
		w.eventually("the operator is told", func() bool {
			r := w.get(b.MetricsAddr(), "/readyz")
			return r.status == http.StatusOK && strings.HasPrefix(string(r.body), `{"ready":true,"missing":{"broker":"`)
		})
	}
	for _, addr := range slices.Concat(w.chats, w.lobbies) { // which serve
		if status := w.get(addr, "/readyz").status; status != http.StatusOK {
			w.Errorf("/readyz without NATS: %d", status)
		}
	}
	for _, text := range []string{"one", "two", "three"} { // both sides of one server do not notice
		start := time.Now()
		said = append(said, user.said(text, near), near.said(text+"!", user))
		if took := time.Since(start); took > time.Second {
			w.Errorf("two messages took %v", took)
		}
	}
	far.say("from the other server") // is accepted; first far learns what it has missed
	for _, message := range said[1:] {
		far.expect("ChatMessage", message)
	}
	last := far.expectMessage("Support", "from the other server")

	late := w.register("Late") // a Join needs the store only
	lateUser := w.userAt(w.chats[0], late)
	each(agents, func(a *client) { a.expectAnnounced(late) }) // a lobby looks for itself
	lateSupport := w.supportAt(w.chats[1], late, "Vika")
	each(agents, func(a *client) { a.expectRemoved(late) })
	welcome := lateSupport.said("welcome")

	wire.Heal()
	healed := time.Now()
	lateUser.expectSupportJoined()
	lateUser.expect("ChatMessage", welcome)
	user.expect("ChatMessage", last)
	near.expect("ChatMessage", last)
	if took := time.Since(healed); took > 5*time.Second {
		w.Errorf("made whole %v after NATS came back", took)
	}
	for _, b := range w.backends {
		w.eventually("nothing is missing", func() bool { return string(w.get(b.MetricsAddr(), "/readyz").body) == "{\"ready\":true}\n" })
	}
	user.said("after", near, far)
	users, _ := w.waiting("Dodo")
	each(agents, func(a *client) { a.expectAnnounced(users[0]) })
	each([]*client{user, near, far}, (*client).expectNothing)
}
