//go:build !unix

package rawio

import "errors"

const untold = false

// Quiet reports whether a connection is alive and nothing has come. It does not know here.
func Quiet(uintptr) bool { return false }

func read(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

func write(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
