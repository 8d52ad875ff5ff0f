// Package testlock keeps the test programs that fill a small machine from running
// at the same time: beside each other, what they measure in seconds means nothing.
// `go test ./...` starts as many programs as there are processors.
package testlock

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

var (
	mu   sync.Mutex
	held *os.File // open until the program ends
)

// Hold waits until no other program holds the lock, and then holds it until this
// one ends. Without a lock to be had it says so and returns.
func Hold() {
	mu.Lock()
	defer mu.Unlock()
	if held != nil {
		return
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("livesupport-tests-%d.lock", os.Getuid()))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		held = file
		err = lock(file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests may run beside others:", err)
	}
}
