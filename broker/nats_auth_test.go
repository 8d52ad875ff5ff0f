package broker_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"livesupport/broker"
	"livesupport/broker/brokertest"
)

// startGuardedNATS starts a server that asks for credentials, and returns its host:port.
func startGuardedNATS(t *testing.T, guard func(*server.Options)) string {
	t.Helper()
	o := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(),
		JetStreamMaxMemory: 256 << 20, JetStreamMaxStore: 256 << 20, NoSigs: true, NoLog: true,
	}
	guard(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s.Addr().String()
}

func TestNATSAuthentication(t *testing.T) {
	pki := brokertest.NewPKI(t)
	creds, operator := newCredentials(t)
	password := startGuardedNATS(t, func(o *server.Options) { o.Username, o.Password = "livesupport", "s3cret!" })
	token := startGuardedNATS(t, func(o *server.Options) { o.Authorization = "s3cret-token" })
	mutual := startGuardedNATS(t, func(o *server.Options) { o.TLSConfig = pki.Server() })
	keys := startGuardedNATS(t, operator)
	stranger := brokertest.NewPKI(t)
	for name, test := range map[string]struct {
		cfg     broker.NATSConfig
		refused string // what is wrong; empty if nothing is
	}{
		"password":             {cfg: broker.NATSConfig{URLs: "nats://livesupport:s3cret%21@" + password}},
		"wrong password":       {broker.NATSConfig{URLs: "nats://livesupport:s3cret@" + password}, "Authorization"},
		"no password":          {broker.NATSConfig{URLs: "nats://" + password}, "Authorization"},
		"token":                {cfg: broker.NATSConfig{URLs: "nats://s3cret-token@" + token}},
		"wrong token":          {broker.NATSConfig{URLs: "nats://s3cret@" + token}, "Authorization"},
		"client certificate":   {cfg: broker.NATSConfig{URLs: "tls://" + mutual, CA: pki.CA, Cert: pki.Cert, Key: pki.Key}},
		"no certificate":       {broker.NATSConfig{URLs: "tls://" + mutual, CA: pki.CA}, "tls"},
		"another CA":           {broker.NATSConfig{URLs: "tls://" + mutual, CA: stranger.CA, Cert: pki.Cert, Key: pki.Key}, "certificate"},
		"a stranger":           {broker.NATSConfig{URLs: "tls://" + mutual, CA: pki.CA, Cert: stranger.Cert, Key: stranger.Key}, "tls"},
		"credentials":          {cfg: broker.NATSConfig{URLs: "nats://" + keys, Credentials: creds}},
		"no credentials":       {broker.NATSConfig{URLs: "nats://" + keys}, "Authorization"},
		"nobody there, secret": {broker.NATSConfig{URLs: "nats://u:s3cret@127.0.0.1:1"}, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			var mu sync.Mutex
			test.cfg.Log = slog.New(slog.NewTextHandler(locked{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
			b := natsHarness{test.cfg}.Broker(t)
			if test.refused == "" {
				awaitReady(t, b, 10*time.Second)
				users := subscribe(t, b, "users")
				publish(t, b, "users", "hello")
				users.await(t, "hello")
			} else {
				var reason string
				await(t, 10*time.Second, func() error {
					err := b.Ready()
					if err == nil {
						t.Fatal("it was let in")
					}
					if reason = err.Error(); strings.Contains(reason, test.refused) {
						return nil
					}
					return err
				})
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				err := b.Publish(ctx, "users", nil)
				if err == nil || strings.Contains(reason+err.Error(), "s3cret") {
					t.Errorf("Ready says %q, Publish %v", reason, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(log.String(), "s3cret") {
				t.Errorf("a secret in the log: %s", log.String())
			}
			if said := strings.Count(log.String(), "cannot use NATS"); (said > 0) != (test.refused != "") {
				t.Errorf("the log says %d times that NATS cannot be used: %s", said, log.String())
			}
		})
	}
}

// TestNewNATSRefuses checks the mistakes that can be found without the server.
func TestNewNATSRefuses(t *testing.T) {
	pki := brokertest.NewPKI(t)
	for name, cfg := range map[string]broker.NATSConfig{
		"no URL":         {},
		"scheme":         {URLs: "redis://u:s3cret@h"},
		"no host":        {URLs: "nats://"},
		"unescaped":      {URLs: "nats://u:s3cret%@h"},
		"second of two":  {URLs: "nats://h,s3cret@h2"},
		"no credentials": {URLs: "nats://h", Credentials: filepath.Join(t.TempDir(), "none")},
		"no CA":          {URLs: "nats://h", CA: filepath.Join(t.TempDir(), "none")},
		"key is no CA":   {URLs: "nats://h", CA: pki.Key},
		"half a pair":    {URLs: "nats://h", Cert: pki.Cert},
		"pair mixed up":  {URLs: "nats://h", Cert: pki.Key, Key: pki.Cert},
	} {
		b, err := broker.NewNATS(cfg)
		if err == nil {
			t.Errorf("%s: accepted", name)
			_ = b.Close()
			continue
		}
		if text := err.Error(); strings.Contains(text, "s3cret") || strings.Contains(text, "\n") || !strings.HasPrefix(text, "broker: ") {
			t.Errorf("%s: %q", name, text)
		}
	}
}

type locked struct {
	mu *sync.Mutex
	to *strings.Builder
}

func (l locked) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(line)
}

// newCredentials makes a credentials file, and what a server needs to accept it.
func newCredentials(t *testing.T) (file string, guard func(*server.Options)) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	operator, err := nkeys.CreateOperator()
	check(err)
	account, err := nkeys.CreateAccount()
	check(err)
	user, err := nkeys.CreateUser()
	check(err)
	public := func(pair nkeys.KeyPair) string {
		key, err := pair.PublicKey()
		check(err)
		return key
	}
	operatorJWT, err := jwt.NewOperatorClaims(public(operator)).Encode(operator)
	check(err)
	claims := jwt.NewAccountClaims(public(account))
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	accountJWT, err := claims.Encode(operator)
	check(err)
	userJWT, err := jwt.NewUserClaims(public(user)).Encode(account)
	check(err)
	seed, err := user.Seed()
	check(err)
	creds, err := jwt.FormatUserConfig(userJWT, seed)
	check(err)
	file = filepath.Join(t.TempDir(), "livesupport.creds")
	check(os.WriteFile(file, creds, 0o600))
	return file, func(o *server.Options) {
		decoded, err := jwt.DecodeOperatorClaims(operatorJWT)
		check(err)
		resolver := &server.MemAccResolver{}
		check(resolver.Store(public(account), accountJWT))
		system, err := nkeys.CreateAccount()
		check(err)
		systemJWT, err := jwt.NewAccountClaims(public(system)).Encode(operator)
		check(err)
		check(resolver.Store(public(system), systemJWT))
		o.SystemAccount = public(system)
		o.TrustedOperators = []*jwt.OperatorClaims{decoded}
		o.AccountResolver = resolver
	}
}
