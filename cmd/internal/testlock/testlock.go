// Package testlock keeps the test programs that fill a small machine from running
// at the same time: beside each other, what they measure in seconds means nothing.
// `go test ./...` starts as many programs as there are processors.
package testlock

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Main is what a TestMain does: it runs the tests while no other program does that
// calls Main, and returns the exit code.
func Main(m *testing.M) int {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("livesupport-tests-%d.lock", os.Getuid()))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		defer file.Close() // gives the lock back
		err = lock(file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests may run beside others:", err)
	}
	return m.Run()
}
