package brokertest

import (
	"testing"

	"livesupport/broker/embedded"
)

// StartEmbeddedRedis starts a Redis in this process, which ends with the test.
func StartEmbeddedRedis(t testing.TB) *embedded.RedisServer {
	t.Helper()
	server, err := embedded.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// StartEmbeddedNATS starts a nats-server in this process, which ends with the test.
func StartEmbeddedNATS(t testing.TB) *embedded.NATSServer {
	t.Helper()
	server, err := embedded.StartNATS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}
