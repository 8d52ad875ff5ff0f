package main

import (
	"runtime"
	"syscall"
	"time"
)

// pause sleeps for d or a little less. It is exact to some 50 µs; the timers of
// the runtime are late by up to 1 ms while nothing else happens.
func pause(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // an early end does no harm: callers look at the clock
	runtime.KeepAlive(&t)
}

const bindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT

// bindLate lets a socket that is bound to an address get its port only when it
// connects: then the port must be free for that one target, not for all.
func bindLate(_, _ string, c syscall.RawConn) error {
	var err error
	control := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindAddressNoPort, 1)
	})
	return first(control, err)
}

// manyLoopbacks: all of 127.0.0.0/8 is this machine.
const manyLoopbacks = true
