//go:build !linux

package web

import (
	"errors"
	"os"
	"syscall"
)

// parking is for Linux. Elsewhere each socket keeps its goroutine.
type parking struct{}

func newParking() *parking { return nil }

func (*parking) close() {}

func (*parking) add(*Socket) error { return errors.ErrUnsupported }

func (*parking) remove(*Socket) *os.File { return nil }

func duplicate(syscall.RawConn) (int32, error) { return 0, errors.ErrUnsupported }

func readNow(int32, []byte) (int, error) { return 0, syscall.EAGAIN }
