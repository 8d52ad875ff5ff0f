//go:build !unix

package testlock

import (
	"errors"
	"os"
)

func lock(*os.File) error { return errors.ErrUnsupported }
