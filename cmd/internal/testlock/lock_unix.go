//go:build unix

package testlock

import (
	"errors"
	"os"
	"syscall"
)

// lock waits for the file's lock, which the system takes back when the program ends.
func lock(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
