//go:build !linux

package main

import (
	"syscall"
	"time"
)

// pause sleeps for d.
func pause(d time.Duration) { time.Sleep(d) }

func bindLate(_, _ string, _ syscall.RawConn) error { return nil }

// manyLoopbacks: only 127.0.0.1 can be counted on.
const manyLoopbacks = false
