package redisdb_test

import (
	"log/slog"
	"strings"
	"testing"

	"livesupport/broker/brokertest"
	"livesupport/broker/redisdb"
)

// TestTLS: a Redis whose certificate is from a private authority, and which asks for a client's
// certificate.
func TestTLS(t *testing.T) {
	pki, stranger := brokertest.NewPKI(t), brokertest.NewPKI(t)
	addr := brokertest.FreeAddr(t)
	brokertest.StartRedisServer(t, "--tls-port", addr[strings.LastIndex(addr, ":")+1:],
		"--tls-cert-file", pki.ServerCert, "--tls-key-file", pki.ServerKey, "--tls-ca-cert-file", pki.CA, "--tls-auth-clients", "yes")
	whole := redisdb.TLS{CA: pki.CA, Cert: pki.Cert, Key: pki.Key}
	for name, test := range map[string]struct {
		url   string
		files redisdb.TLS
		said  string // why it is not ready; empty if it is ready
	}{
		"all files":            {"rediss://" + addr, whole, ""},
		"the scheme is redis":  {"redis://" + addr, whole, ""},
		"no client's":          {"rediss://" + addr, redisdb.TLS{CA: pki.CA}, "certificate required"},
		"a stranger's":         {"rediss://" + addr, redisdb.TLS{CA: pki.CA, Cert: stranger.Cert, Key: stranger.Key}, "remote error: tls"},
		"another authority":    {"rediss://" + addr, redisdb.TLS{CA: stranger.CA, Cert: pki.Cert, Key: pki.Key}, "signed by unknown authority"},
		"the system's of them": {"rediss://" + addr, redisdb.TLS{Cert: pki.Cert, Key: pki.Key}, "signed by unknown authority"},
		"no files at all":      {"rediss://" + addr, redisdb.TLS{}, "signed by unknown authority"},
		"no TLS at all":        {"redis://" + addr, redisdb.TLS{}, "redis: "},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := redisdb.Open(test.url, slog.New(slog.DiscardHandler), redisdb.WithTLS(test.files))
			if err != nil {
				t.Fatal(err)
			}
			starting := db.Ready()
			t.Cleanup(func() { _ = db.Close() })
			eventually(t, "an attempt", func() bool { return db.Ready() != starting })
			switch err := db.Ready(); {
			case test.said == "" && err != nil, test.said != "" && (err == nil || !strings.Contains(err.Error(), test.said)):
				t.Errorf("Ready: %v", err)
			}
		})
	}
	for name, files := range map[string]redisdb.TLS{
		"no such file":  {CA: pki.CA + ".not"},
		"a key as CA":   {CA: pki.Key},
		"half a pair":   {Cert: pki.Cert},
		"a pair's half": {Key: pki.Key},
		"mixed up":      {Cert: pki.Key, Key: pki.Cert},
	} {
		if db, err := redisdb.Open("rediss://"+addr, nil, redisdb.WithTLS(files)); err == nil {
			t.Errorf("%s: no error", name)
			_ = db.Close()
		}
	}
	if db, err := redisdb.Open("unix:///tmp/redis.sock", nil, redisdb.WithTLS(whole)); err == nil || !strings.Contains(err.Error(), "socket") {
		t.Errorf("a socket with TLS: %v", err)
		if err == nil {
			_ = db.Close()
		}
	}
}
