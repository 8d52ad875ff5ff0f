//go:build !race && (amd64 || arm64)

package web

import (
	"runtime"
	runtimemetrics "runtime/metrics"
	"testing"
	"time"
)

// TestIdleSocketIsSmall: the runtime starts goroutines with the average stack of those that exist.
// Most of them are idle sockets, and these must keep it at the smallest size.
func TestIdleSocketIsSmall(t *testing.T) {
	h := newTestHub(t, time.Hour, time.Hour)
	for range 300 {
		connection(t, h)
	}
	size := []runtimemetrics.Sample{{Name: "/gc/stack/starting-size:bytes"}}
	var got uint64
	for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		runtimemetrics.Read(size)
		if got = size[0].Value.Uint64(); got <= 2048 {
			return
		}
	}
	t.Errorf("an idle socket's goroutine has a stack of %d bytes", got)
}
