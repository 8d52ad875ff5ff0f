//go:build unix

package testlock

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		return file
	}
	first, second := open(), open()
	if err := lock(first); err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() { got <- lock(second) }()
	select {
	case err := <-got:
		t.Fatalf("two have the lock: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	first.Close()
	select {
	case err := <-got:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody gets the lock")
	}
}
