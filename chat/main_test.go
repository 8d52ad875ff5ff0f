package chat

import (
	"os"
	"testing"

	"livesupport/broker/brokertest"
)

func TestMain(m *testing.M) {
	brokertest.Parallel("8")
	os.Exit(m.Run())
}
