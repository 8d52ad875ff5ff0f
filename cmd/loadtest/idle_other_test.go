//go:build !linux

package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

var interruptedIdle []interruption

func TestIdleIsForLinux(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitFailed, run(t.Context(), []string{"idle"}, &stdout, &stderr, false))
	require.Contains(t, stderr.String(), "idle is for Linux")
}
