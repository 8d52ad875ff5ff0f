//go:build unix && !linux

package rawio

import "syscall"

const untold = false

// Quiet reports whether a connection is alive and nothing has come. It does not know here.
func Quiet(uintptr) bool { return false }

func read(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }

func write(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
