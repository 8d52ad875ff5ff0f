//go:build unix

package backend

import "syscall"

// openFiles returns how many files, including sockets, this process may have open, and
// false if that is unknown. Go has already raised the limit as far as it can.
func openFiles() (uint64, bool) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return uint64(limit.Cur), err == nil
}
