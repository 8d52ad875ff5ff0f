package broker_test

import (
	"testing"

	"livesupport/broker"
	"livesupport/broker/brokertest"
)

// prefixes are easily mixed up.
var prefixes = []string{"", "a", "a-a", "users", "livesupport", "A", "x_1"}

func TestPrefixesRedis(t *testing.T) {
	server := brokertest.StartEmbeddedRedis(t)
	var apart []brokertest.Harness
	for _, prefix := range prefixes {
		apart = append(apart, redisHarness{server.URL(), prefix})
	}
	brokertest.RunApart(t, apart...)
}

func TestPrefixesNATS(t *testing.T) {
	url := brokertest.StartEmbeddedNATS(t).URL()
	var apart []brokertest.Harness
	for _, prefix := range prefixes[:4] { // each has a stream of its own, of full size
		apart = append(apart, newNATSHarness(t, broker.NATSConfig{URLs: url, Prefix: prefix}))
	}
	brokertest.RunApart(t, apart...)
}
