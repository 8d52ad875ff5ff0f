//go:build !unix

package web

import (
	"syscall"
)

// writeAttempt leaves all writing to the socket's goroutine.
type writeAttempt struct{}

func (writeAttempt) write(_ syscall.RawConn, out []byte) (rest []byte, err error) { return out, nil }

func rawConn(conn) syscall.RawConn { return nil }

func writeNow(_ int32, out []byte) ([]byte, error) { return out, nil }
