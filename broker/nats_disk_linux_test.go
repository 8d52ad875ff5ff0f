package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"livesupport/broker"
	"livesupport/broker/embedded"
)

// TestNATSDiskFull: a stream that could not write does not recover by itself, even when there is
// room again. Both sides get what is published afterwards, and are told of a gap.
func TestNATSDiskFull(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		if errors.Is(err, os.ErrPermission) {
			t.Skip("a disk of its own takes the right to mount one:", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	server, err := embedded.StartNATS(filepath.Join(disk, "nats"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	var brokers []*broker.NATS
	for range 2 {
		b, err := broker.NewNATS(broker.NATSConfig{URLs: server.URL()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		awaitReady(t, b, 10*time.Second)
		brokers = append(brokers, b)
	}
	events := subscribe(t, brokers[1], "chat:1")
	publish(t, brokers[0], "chat:1", "before")
	events.await(t, "before")

	fill := filepath.Join(disk, "fill")
	if err := os.WriteFile(fill, make([]byte, 17<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal("the disk is not full:", err)
	}
	for _, b := range brokers {
		await(t, 20*time.Second, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_ = b.Publish(ctx, "chat:2", make([]byte, 8<<10)) // more than the file's last block takes
			if b.Ready() == nil {
				return errors.New("it has not noticed")
			}
			return nil
		})
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	for _, b := range brokers {
		awaitReady(t, b, 20*time.Second)
	}
	publish(t, brokers[0], "chat:1", "after")
	await(t, 15*time.Second, func() error {
		got := events.list()
		if got[len(got)-1] != "after" || !slices.Contains(got, "GAP") {
			return fmt.Errorf("got %q, want a gap and what came after it", got)
		}
		return nil
	})
}
