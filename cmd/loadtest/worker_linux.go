package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// worker holds a part of a crowd. One goroutine does everything with one buffer: an
// open connection has no more than its place in slots.
type worker struct {
	assignment
	chatServers, lobbies []target
	sources              []netip.Addr
	set                  *epollSet
	start                time.Time
	buf                  []byte

	slots    []slot             // by descriptor
	openings map[int32]*opening // those on their way
	parts    map[int32][]byte   // what has come of a frame that is not whole yet

	supports     []*pair // whose users are there: their supports are next
	chats        int     // begun, and so on
	agents       int
	chatsWanted  bool
	agentsWanted bool
	closing      bool
	cursor       int // in slots, while closing
	leaving      int // of which the end is awaited
	turn         int // of the sources

	status workerStatus
	joins  [kinds]latencies
	gaps   latencies
}

// slot is what a connection costs here.
type slot struct {
	pinged uint32 // milliseconds of the worker at the last heartbeat; 0: none yet
	kind   uint8
	state  uint8
}

// States of a slot.
const (
	slotFree = iota
	slotOpening
	slotIdle
	slotClosing
)

// work is the whole life of a worker, and returns the exit code.
func work(in io.Reader, out io.Writer) int {
	commands := bufio.NewScanner(in)
	commands.Buffer(nil, 16<<20)
	if !commands.Scan() {
		return exitFailed
	}
	w, err := newWorker(commands.Bytes())
	if err != nil {
		_ = json.NewEncoder(out).Encode(workerStatus{Failed: err.Error()})
		return exitFailed
	}
	orders := make(chan string)
	go func() { // it ends with the process at the latest
		defer close(orders)
		for commands.Scan() {
			orders <- commands.Text()
		}
	}()
	if w.run(orders, out) != nil {
		return exitFailed
	}
	return exitOK
}

func newWorker(text []byte) (*worker, error) {
	w := &worker{
		start: time.Now(), buf: make([]byte, 64<<10),
		openings: map[int32]*opening{}, parts: map[int32][]byte{},
		status: workerStatus{Cut: map[string]int{}, Refused: map[string]int{}}, gaps: newLatencies(),
	}
	if err := json.Unmarshal(text, &w.assignment); err != nil {
		return nil, err
	}
	for kind := range w.joins {
		w.joins[kind] = newLatencies()
	}
	for _, list := range []struct {
		urls    []string
		targets *[]target
	}{{w.ChatURLs, &w.chatServers}, {w.LobbyURLs, &w.lobbies}} {
		for _, url := range list.urls {
			t, err := resolve(url)
			if err != nil {
				return nil, err
			}
			*list.targets = append(*list.targets, t)
		}
	}
	for _, text := range w.Sources {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		w.sources = append(w.sources, address)
	}
	w.turn = w.Chats.First
	w.slots = make([]slot, 2*w.Chats.N+w.Agents.N+spareFiles)
	var err error
	w.set, err = newEpollSet()
	return w, err
}

// gather is how long heartbeats are let come before they are answered: to answer many at
// a time takes a fraction of what it takes to wake up for each.
const gather = 20 * time.Millisecond

// run serves the connections until all are closed, or nobody is there any more to say so.
func (w *worker) run(orders <-chan string, out io.Writer) error {
	tell := json.NewEncoder(out)
	var told time.Time
	for opening := false; ; {
		select {
		case order, more := <-orders:
			if !more {
				return nil
			}
			w.obey(order)
		default:
		}
		if w.closing {
			w.leave()
		} else {
			w.launch()
		}
		if len(w.openings) == 0 && !w.closing {
			time.Sleep(gather)
		}
		events, err := w.set.wait(80)
		if err != nil {
			return err
		}
		for _, event := range events {
			w.ready(event.Fd, event.Events)
		}
		done := opening && len(w.openings) == 0 // to be told at once
		opening = len(w.openings) > 0
		if now := time.Now(); done || now.Sub(told) >= tellEvery {
			told = now
			w.expire(now)
			w.measure()
			if err := tell.Encode(w.status); err != nil {
				return err
			}
		}
		if w.closing && w.cursor == len(w.slots) && w.leaving == 0 {
			w.measure()
			w.status.Closed = true
			for kind := range w.joins {
				w.status.Joins[kind] = w.joins[kind].histogram.Export()
			}
			w.status.Gaps = w.gaps.histogram.Export()
			return tell.Encode(w.status)
		}
	}
}

func (w *worker) obey(order string) {
	switch order {
	case commandChats:
		w.chatsWanted = true
	case commandAgents:
		w.agentsWanted = true
	case commandEnough:
		w.chatsWanted, w.agentsWanted = false, false
	case commandClose:
		w.closing = true
		for fd := range w.openings {
			w.free(fd)
		}
	}
}

// measure looks at what this process needs.
func (w *worker) measure() {
	w.status.CPU, w.status.Resident = ownUse()
}

// leave says goodbye to some connections more, no more than Closers at a time.
func (w *worker) leave() {
	for ; w.cursor < len(w.slots) && w.leaving < w.Closers; w.cursor++ {
		if s := &w.slots[w.cursor]; s.state == slotIdle {
			s.state = slotClosing
			w.leaving++
			if err := write(int32(w.cursor), goodbye); err != nil {
				w.ended(int32(w.cursor), err)
			}
		}
	}
}

// ready handles an event.
func (w *worker) ready(fd int32, flags uint32) {
	s := &w.slots[fd]
	o := w.openings[fd]
	switch {
	case s.state == slotFree:
		return
	case o != nil && o.step == stepConnecting:
		if flags&(syscall.EPOLLOUT|epollEnd) == 0 {
			return
		}
		err := failure(fd)
		if err == nil {
			err = w.connected(fd, o)
		}
		if err != nil {
			w.ended(fd, err)
		}
		return
	case flags&(syscall.EPOLLIN|epollEnd) == 0:
		return
	}
	for {
		n, err := read(fd, w.buf)
		switch {
		case err == syscall.EAGAIN:
			return
		case err == nil && n == 0:
			err = io.EOF
		case err == nil:
			err = w.take(fd, w.buf[:n])
		}
		if err != nil {
			w.ended(fd, err)
			return
		}
		if n < len(w.buf) && flags&epollEnd == 0 {
			return
		}
	}
}

// ended closes a connection and notes why, unless that is as it should be.
func (w *worker) ended(fd int32, err error) {
	s := &w.slots[fd]
	switch o := w.openings[fd]; {
	case o != nil:
		w.fail(o, err)
	case s.state == slotClosing:
		w.leaving--
		w.status.Open[s.kind]--
	default:
		w.status.Open[s.kind]--
		w.status.Cut[endReason(err)]++
	}
	w.free(fd)
}

func (w *worker) free(fd int32) {
	delete(w.openings, fd)
	delete(w.parts, fd)
	w.slots[fd] = slot{}
	syscall.Close(int(fd))
}

// spareFiles are those that a process needs besides its connections.
const spareFiles = 64

// maxWorkerConns is how many connections a process can hold.
func maxWorkerConns() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 1000
	}
	// Go's runtime has raised the limit as far as the process may.
	return max(2, int(min(files.Max, 1<<30))-2*spareFiles)
}

var ownGroup = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

// workerMain makes this process a worker if it is meant to be one.
func workerMain() {
	if os.Getenv(workerVariable) != "" {
		os.Exit(work(os.Stdin, os.Stdout))
	}
}
