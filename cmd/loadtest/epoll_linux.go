package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"unsafe"
)

// epollSet waits for connections that have no goroutine, no buffer and no net.Conn. Not
// safe for concurrent use.
type epollSet struct {
	fd     int
	events []syscall.EpollEvent
}

// epollFlags tell of edges only: a read that does not fill the buffer has taken all
// there was. The last one is EPOLLET, which has the wrong sign in syscall.
const epollFlags = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | 1<<31

// epollEnd is set in an event when more than bytes is to be read.
const epollEnd = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR

func newEpollSet() (*epollSet, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	return &epollSet{fd, make([]syscall.EpollEvent, 512)}, err
}

// wait returns what has happened, after so many milliseconds at the latest.
func (e *epollSet) wait(milliseconds int) ([]syscall.EpollEvent, error) {
	n, err := syscall.EpollWait(e.fd, e.events, milliseconds)
	if err == syscall.EINTR {
		return nil, nil
	}
	return e.events[:max(n, 0)], err
}

// connect begins a connection; an event tells of its end.
func (e *epollSet) connect(source netip.Addr, target netip.AddrPort) (fd int32, err error) {
	n, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = func() error {
		if source.IsValid() {
			if err := syscall.SetsockoptInt(n, syscall.IPPROTO_IP, bindAddressNoPort, 1); err != nil {
				return err
			}
			if err := syscall.Bind(n, &syscall.SockaddrInet4{Addr: source.As4()}); err != nil {
				return err
			}
		}
		err := syscall.Connect(n, &syscall.SockaddrInet4{Addr: target.Addr().As4(), Port: int(target.Port())})
		if err != nil && err != syscall.EINPROGRESS {
			return err
		}
		return syscall.EpollCtl(e.fd, syscall.EPOLL_CTL_ADD, n, &syscall.EpollEvent{Events: epollFlags, Fd: int32(n)})
	}()
	if err != nil {
		syscall.Close(n)
	}
	return int32(n), err
}

// failure is why a connection could not be made; nil if it could.
func failure(fd int32) error {
	n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && n != 0 {
		err = syscall.Errno(n)
	}
	return err
}

// read reads what is there; 0 is the end of the connection.
func read(fd int32, b []byte) (int, error) {
	for {
		if n, err := call(syscall.SYS_READ, fd, b); err != syscall.EINTR {
			return n, err
		}
	}
}

// write hands a frame to the system, which has room for it unless the server has not
// read for long.
func write(fd int32, b []byte) error {
	for {
		n, err := call(syscall.SYS_WRITE, fd, b)
		switch {
		case err == syscall.EINTR:
		case err == nil && n < len(b):
			return syscall.EAGAIN
		default:
			return err
		}
	}
}

// call reads or writes without waiting and without a word to Go's scheduler, which
// would take some microseconds in the system for a reason to start a thread.
func call(number uintptr, fd int32, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// target is where a server is.
type target struct {
	address netip.AddrPort
	host    string // for the Host header
	path    string // before that of the protocol
}

// resolve finds the IPv4 address of a server.
func resolve(text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return target{}, err
	}
	if u.Scheme != "http" {
		return target{}, fmt.Errorf("%s: idle connections are without TLS: want an http URL", text)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	ip, err := net.ResolveIPAddr("ip4", u.Hostname())
	if err != nil {
		return target{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return target{}, err
	}
	address, _ := netip.AddrFromSlice(ip.IP.To4())
	return target{netip.AddrPortFrom(address, uint16(number)), u.Host, u.Path}, nil
}
