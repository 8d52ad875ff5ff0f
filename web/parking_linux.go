package web

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"livesupport/broker/rawio"
)

// parking waits for all sockets that are idle, with one goroutine and one buffer. A
// socket that is parked has neither, nor a net.Conn: only its descriptor.
//
// No event can reach the wrong socket, though the number of a descriptor that is closed
// becomes another's at once. A descriptor is closed only by a socket's own goroutine,
// thus while the socket is not parked and not in the table. An event that was on its way
// by then finds nobody in the table, or a socket that was parked under this number
// since; it is read from under that socket's lock, as what it is: a hint that there may
// be something to read.
type parking struct {
	epoll   *os.File
	fd      int
	shelves []atomic.Pointer[shelf] // of sockets, by descriptor
	ended   sync.WaitGroup
}

const shelfSize = 1 << 10

type shelf [shelfSize]atomic.Pointer[Socket]

// parkedEvents is told of edges only: a read that does not fill the buffer has taken
// all there was.
const parkedEvents = syscall.EPOLLIN | syscall.EPOLLRDHUP | 1<<31 // EPOLLET, which has the wrong sign in syscall

// newParking starts the goroutine, or returns nil where the system does not let it.
func newParking() *parking {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return nil
	}
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	// Go's own poller waits for the set, which costs no thread, if it does not block.
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil
	}
	p := &parking{
		epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd,
		shelves: make([]atomic.Pointer[shelf], min(files.Cur, 1<<26)/shelfSize+1),
	}
	raw, err := p.epoll.SyscallConn()
	if err != nil {
		p.epoll.Close()
		return nil
	}
	p.ended.Go(func() { p.watch(raw) })
	return p
}

// close ends the goroutine, when no socket is parked any more.
func (p *parking) close() {
	if p != nil {
		p.epoll.Close()
		p.ended.Wait()
	}
}

// watch passes events on until the set is closed.
func (p *parking) watch(raw syscall.RawConn) {
	events, buf := make([]syscall.EpollEvent, 256), make([]byte, 16<<10)
	raw.Read(func(uintptr) bool { // which waits whenever it returns false
		for {
			n, err := p.ready(events)
			for _, event := range events[:n] {
				if s := p.slot(event.Fd).Load(); s != nil {
					s.event(event.Fd, event.Events == syscall.EPOLLIN, buf)
				}
			}
			if n < len(events) && err != syscall.EINTR {
				return false
			}
		}
	})
}

// ready returns the events that there are, without waiting; see package rawio.
func (p *parking) ready(events []syscall.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// slot is where the socket of a descriptor is. The shelf is there since the descriptor
// was added first.
func (p *parking) slot(fd int32) *atomic.Pointer[Socket] {
	return &p.shelves[fd/shelfSize].Load()[fd%shelfSize]
}

// add takes in a socket that has been parked. The caller holds its lock.
func (p *parking) add(s *Socket) error {
	i := int(s.fd / shelfSize)
	if i >= len(p.shelves) {
		return syscall.EBADF
	}
	if p.shelves[i].Load() == nil {
		p.shelves[i].CompareAndSwap(nil, new(shelf))
	}
	p.slot(s.fd).Store(s)
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, int(s.fd), &syscall.EpollEvent{Events: parkedEvents, Fd: s.fd})
}

// remove gives back a parked socket's connection, with deadlines. The caller holds its
// lock.
func (p *parking) remove(s *Socket) *os.File {
	if int(s.fd/shelfSize) < len(p.shelves) {
		p.slot(s.fd).Store(nil)
		// It fails only for a socket that could not be added.
		_ = syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, int(s.fd), nil)
	}
	return os.NewFile(uintptr(s.fd), "socket")
}

// duplicate makes a second descriptor of a connection: when the first one is closed,
// Go's poller does not know the connection any more.
func duplicate(raw syscall.RawConn) (fd int32, err error) {
	if raw == nil {
		return 0, syscall.ENOTSUP
	}
	failed := raw.Control(func(old uintptr) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		if fd = int32(n); errno != 0 {
			err = errno
		}
	})
	if failed != nil {
		err = failed
	}
	return fd, err
}

// readNow reads what is there: 0 is the end of the connection.
func readNow(fd int32, buf []byte) (n int, err error) { return rawio.Read(uintptr(fd), buf) }
