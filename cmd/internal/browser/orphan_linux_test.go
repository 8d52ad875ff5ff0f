package browser_test

import (
	"os/exec"
	"syscall"
)

// endWithTests keeps a process from outliving tests that are killed.
func endWithTests(process *exec.Cmd) {
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
