//go:build !linux

package main

import (
	"errors"
	"syscall"
)

var ownGroup *syscall.SysProcAttr

func workerMain() {}

func maxWorkerConns() int { return 0 }

func available() float64 { return 0 }

func readMachine() Machine { return Machine{} }

func ownUse() (cpu float64, resident int64) { return 0, 0 }

func checkMachine(int, []string, int) error {
	return errors.New("idle is for Linux: its connections are in sets of epoll")
}
