//go:build unix

package backend

import "syscall"

// openFiles is how many files, sockets among them, this process may have open;
// false if that is not known. Go has raised it as far as it may.
func openFiles() (uint64, bool) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return uint64(limit.Cur), err == nil
}
