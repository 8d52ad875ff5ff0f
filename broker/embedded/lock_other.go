//go:build !unix

package embedded

import "os"

// lockFile opens a file. On this system it cannot keep a second process from doing the same.
func lockFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
}
