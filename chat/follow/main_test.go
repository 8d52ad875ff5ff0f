package follow_test

import (
	"testing"

	"go.uber.org/goleak"

	"livesupport/broker/brokertest"
)

func TestMain(m *testing.M) {
	brokertest.Parallel("8")
	goleak.VerifyTestMain(m)
}
