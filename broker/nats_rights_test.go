package broker_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"livesupport/broker"
	"livesupport/broker/brokertest"
)

// leastRights is the configuration that the page of operation gives, as nats-server
// reads it.
func leastRights(t *testing.T) *server.Permissions {
	t.Helper()
	page, err := os.ReadFile("../cmd/deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rights, found := strings.Cut(string(page), "    permissions: {\n")
	rights, _, closed := strings.Cut(rights, "\n    }\n")
	if !found || !closed {
		t.Fatal("cmd/deploy/README.md has no permissions for nats-server")
	}
	file := filepath.Join(t.TempDir(), "nats.conf")
	config := "authorization { users: [ { user: livesupport, password: s3cret, permissions: {\n" + rights + "\n} } ] }"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return o.Users[0].Permissions
}

// without returns the rights except for one, which must be among them.
func without(t *testing.T, rights *server.Permissions, subject string) *server.Permissions {
	t.Helper()
	left := *rights
	found := false
	for _, list := range []**server.SubjectPermission{&left.Publish, &left.Subscribe} {
		some := &server.SubjectPermission{}
		for _, s := range (*list).Allow {
			if s == subject {
				found = true
			} else {
				some.Allow = append(some.Allow, s)
			}
		}
		*list = some
	}
	if !found {
		t.Fatalf("%s is not in cmd/deploy/README.md", subject)
	}
	return &left
}

// TestNATSLeastRights: the rights on that page are enough, also after a lost connection. If one of
// them is missing, it is named.
func TestNATSLeastRights(t *testing.T) {
	rights := leastRights(t)
	for name, test := range map[string]struct {
		guard func(*server.Options)
		said  string
	}{
		"all":      {guard: func(*server.Options) {}},
		"no chats": {func(o *server.Options) { o.Users[0].Permissions = without(t, rights, "chat.*") }, `Publish to "chat.`},
		"no stream": {func(o *server.Options) {
			o.Users[0].Permissions = without(t, rights, "$JS.API.STREAM.CREATE.LIVESUPPORT")
		}, `Publish to "$JS.API.STREAM.CREATE.LIVESUPPORT"`},
		"no events":    {func(o *server.Options) { o.Users[0].Permissions = without(t, rights, "livesupport.live.>") }, `Subscription to "livesupport.live.`},
		"no inbox":     {func(o *server.Options) { o.Users[0].Permissions = without(t, rights, "_INBOX.>") }, `Subscription to "_INBOX.`},
		"no JetStream": {func(o *server.Options) { o.JetStream = false }, "JetStream is not enabled"},
		"no room":      {func(o *server.Options) { o.JetStreamMaxStore = 1 << 20 }, "134217728 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := startGuardedNATS(t, func(o *server.Options) {
				o.Users = []*server.User{{Username: "livesupport", Password: "s3cret", Permissions: rights}}
				test.guard(o)
			})
			proxy := brokertest.StartProxy(t, addr)
			b, err := broker.NewNATS(broker.NATSConfig{URLs: "nats://livesupport:s3cret@" + proxy.Addr(), Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close() })
			if test.said != "" {
				await(t, 15*time.Second, func() error {
					err := b.Ready()
					if err == nil {
						t.Fatal("ready")
					}
					if strings.Contains(err.Error(), test.said) {
						return nil
					}
					return err
				})
				return
			}
			awaitReady(t, b, 10*time.Second)
			users, chat := subscribe(t, b, "users"), subscribe(t, b, "chat:1")
			publish(t, b, "users", "hello")
			users.await(t, "hello")
			other, err := broker.NewNATS(broker.NATSConfig{URLs: "nats://livesupport:s3cret@" + addr})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = other.Close() })
			awaitReady(t, other, 10*time.Second)
			proxy.Cut()
			publish(t, other, "chat:1", "meanwhile")
			proxy.Heal()
			chat.await(t, "meanwhile") // replayed from the stream
			signals := make(chan string, 1)
			listening := b.Listen("chat:1", func(payload []byte) { signals <- string(payload) }, nil)
			t.Cleanup(listening.Close)
			for begin := time.Now(); ; {
				if err := other.Signal("chat:1", []byte("typing")); err != nil {
					t.Fatal(err)
				}
				select {
				case <-signals:
					return
				case <-time.After(50 * time.Millisecond):
				}
				if time.Since(begin) > 10*time.Second {
					t.Fatal("no signal")
				}
			}
		})
	}
}
