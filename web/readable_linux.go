package web

import (
	"syscall"
	"unsafe"
)

// readable returns how many bytes can be read at once. It uses little stack, because the
// stack is small while a socket is idle.
func readable(raw syscall.RawConn) int {
	if raw == nil {
		return 0
	}
	var n int32
	err := raw.Control(func(fd uintptr) {
		_, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&n)))
		if errno != 0 {
			n = 0
		}
	})
	if err != nil {
		return 0
	}
	return int(n)
}
