package follow_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs many tests at a time: they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
