package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
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
)

// startGuardedNATS starts a server that does not let everybody in, and returns its
// host:port.
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
	pki := newPKI(t)
	creds, operator := newCredentials(t)
	password := startGuardedNATS(t, func(o *server.Options) { o.Username, o.Password = "livesupport", "s3cret!" })
	token := startGuardedNATS(t, func(o *server.Options) { o.Authorization = "s3cret-token" })
	mutual := startGuardedNATS(t, func(o *server.Options) { o.TLSConfig = pki.server })
	keys := startGuardedNATS(t, operator)
	stranger := newPKI(t)
	for name, test := range map[string]struct {
		cfg     broker.NATSConfig
		refused string // what is wrong, if it is
	}{
		"password":             {cfg: broker.NATSConfig{URLs: "nats://livesupport:s3cret%21@" + password}},
		"wrong password":       {broker.NATSConfig{URLs: "nats://livesupport:s3cret@" + password}, "Authorization"},
		"no password":          {broker.NATSConfig{URLs: "nats://" + password}, "Authorization"},
		"token":                {cfg: broker.NATSConfig{URLs: "nats://s3cret-token@" + token}},
		"wrong token":          {broker.NATSConfig{URLs: "nats://s3cret@" + token}, "Authorization"},
		"client certificate":   {cfg: broker.NATSConfig{URLs: "tls://" + mutual, CA: pki.ca, Cert: pki.cert, Key: pki.key}},
		"no certificate":       {broker.NATSConfig{URLs: "tls://" + mutual, CA: pki.ca}, "tls"},
		"another CA":           {broker.NATSConfig{URLs: "tls://" + mutual, CA: stranger.ca, Cert: pki.cert, Key: pki.key}, "certificate"},
		"a stranger":           {broker.NATSConfig{URLs: "tls://" + mutual, CA: pki.ca, Cert: stranger.cert, Key: stranger.key}, "tls"},
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

// TestNewNATSRefuses checks what is no question of whether the server is there.
func TestNewNATSRefuses(t *testing.T) {
	pki := newPKI(t)
	for name, cfg := range map[string]broker.NATSConfig{
		"no URL":         {},
		"scheme":         {URLs: "redis://u:s3cret@h"},
		"no host":        {URLs: "nats://"},
		"unescaped":      {URLs: "nats://u:s3cret%@h"},
		"second of two":  {URLs: "nats://h,s3cret@h2"},
		"no credentials": {URLs: "nats://h", Credentials: filepath.Join(t.TempDir(), "none")},
		"no CA":          {URLs: "nats://h", CA: filepath.Join(t.TempDir(), "none")},
		"key is no CA":   {URLs: "nats://h", CA: pki.key},
		"half a pair":    {URLs: "nats://h", Cert: pki.cert},
		"pair mixed up":  {URLs: "nats://h", Cert: pki.key, Key: pki.cert},
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

// pki is a certificate authority with a server's and a client's certificate.
type pki struct {
	server        *tls.Config // asks for a client certificate
	ca, cert, key string      // files
}

func newPKI(t *testing.T) pki {
	t.Helper()
	dir := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		check(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	check(err)
	issue := func(name string, usage x509.ExtKeyUsage) (cert, key string) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(err)
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}, authority, k.Public(), caKey)
		check(err)
		keyDER, err := x509.MarshalPKCS8PrivateKey(k)
		check(err)
		return write(name+".pem", "CERTIFICATE", der), write(name+"-key.pem", "PRIVATE KEY", keyDER)
	}
	p := pki{ca: write("ca.pem", "CERTIFICATE", caDER)}
	serverCert, serverKey := issue("server", x509.ExtKeyUsageServerAuth)
	p.cert, p.key = issue("client", x509.ExtKeyUsageClientAuth)
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	check(err)
	pool := x509.NewCertPool()
	ca, err := x509.ParseCertificate(caDER)
	check(err)
	pool.AddCert(ca)
	p.server = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	return p
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
