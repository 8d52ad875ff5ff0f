//go:build !unix

package web

import (
	"net"
	"syscall"
)

// writeAttempt leaves all writing to the socket's goroutine.
type writeAttempt struct{}

func (writeAttempt) write(_ syscall.RawConn, out []byte) (rest []byte, err error) { return out, nil }

func rawConn(net.Conn) syscall.RawConn { return nil }

// readable cannot tell: what comes counts from when it is read.
func readable(syscall.RawConn) int { return 0 }
