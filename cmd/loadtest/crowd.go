package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// crowd is a great number of connections that only answer the heartbeat. Processes of
// their own hold them, as many as the limit on open files takes.
type crowd struct {
	load    *load
	workers []*workerProcess
}

// workerVariable is set in the environment of a process that holds a part of a crowd.
const workerVariable = "LOADTEST_WORKER"

// assignment is what a worker reads first from its standard input. After it come
// commands, one a line.
type assignment struct {
	Chats     part     `json:"chats"` // each with a user and a support
	Agents    part     `json:"agents"`
	ChatURLs  []string `json:"chatUrls"`
	LobbyURLs []string `json:"lobbyUrls"`
	Sources   []string `json:"sources"`
	Heartbeat int      `json:"heartbeat"`
	Openers   int      `json:"openers"`
	Closers   int      `json:"closers"`
	Token     string   `json:"token"`
}

const (
	commandChats  = "chats" // let the users and supports come
	commandAgents = "agents"
	commandEnough = "enough" // begin no more
	commandClose  = "close"
)

// part is a share of so many: N of them from First on.
type part struct {
	First int `json:"first"`
	N     int `json:"n"`
	Of    int `json:"of"`
}

// partOf is the part of the i-th of n.
func partOf(total, i, n int) part {
	first := total * i / n
	return part{first, total*(i+1)/n - first, total}
}

// server is which of n servers takes the i-th of a part. The first server takes the first
// ones and so on: servers that fill one after the other share the processors better than
// all at once.
func (p part) server(i, n int) int { return (p.First + i) * n / p.Of }

// The kinds of connections in a crowd.
const (
	kindUser = iota
	kindSupport
	kindAgent
	kinds
)

// workerStatus is what a worker writes to its standard output, a few times a second.
type workerStatus struct {
	Open     [kinds]int     `json:"open"`
	Failed   string         `json:"failed"` // the first connection that could not be opened
	Cut      map[string]int `json:"cut"`
	Refused  map[string]int `json:"refused"`
	Pings    int64          `json:"pings"`
	CPU      float64        `json:"cpu"` // seconds
	Resident int64          `json:"resident"`

	// At the end:
	Closed bool                          `json:"closed"`
	Joins  [kinds]*hdrhistogram.Snapshot `json:"joins,omitempty"`
	Gaps   *hdrhistogram.Snapshot        `json:"gaps,omitempty"`
}

// workerProcess is a worker as its owner sees it.
type workerProcess struct {
	assignment
	command *exec.Cmd
	in      io.WriteCloser
	ended   chan struct{}

	mu     sync.Mutex
	status workerStatus
	err    error
}

// startWorker starts a process. It ends on its own when its standard input does.
func startWorker(a assignment) (*workerProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &workerProcess{assignment: a, command: exec.Command(self), ended: make(chan struct{})}
	w.command.Env = append(os.Environ(), workerVariable+"=1")
	w.command.Stderr = os.Stderr
	w.command.SysProcAttr = ownGroup // Ctrl-C is for this process, which ends the others in order
	if w.in, err = w.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.command.Start(); err != nil {
		return nil, err
	}
	go w.follow(out)
	return w, json.NewEncoder(w.in).Encode(a)
}

// follow takes in what the process says until it ends.
func (w *workerProcess) follow(out io.Reader) {
	defer close(w.ended)
	var err error
	for d := json.NewDecoder(out); err == nil; {
		var status workerStatus
		if err = d.Decode(&status); err == nil {
			w.mu.Lock()
			w.status = status
			w.mu.Unlock()
		}
	}
	ended := w.command.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case ended == nil && w.status.Closed:
	case w.status.Failed != "":
		w.err = errors.New(w.status.Failed)
	default:
		w.err = fmt.Errorf("a process with a part of the connections has ended: %w", cmp.Or(ended, err))
	}
}

func (w *workerProcess) now() (workerStatus, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status, w.err
}

// startCrowd starts the processes. Each holds at most so many connections.
func (l *load) startCrowd(o idleOptions, each int) (*crowd, error) {
	chats, agents := o.split()
	c := &crowd{load: l}
	n := max(1, (o.Conns+each-1)/each)
	var sources []string
	for _, address := range l.sources.addresses {
		sources = append(sources, address.String())
	}
	for i := range n {
		w, err := startWorker(assignment{
			Chats: partOf(chats, i, n), Agents: partOf(agents, i, n),
			ChatURLs: l.options.ChatURL, LobbyURLs: l.options.LobbyURL, Sources: sources,
			Heartbeat: o.Heartbeat, Token: l.options.AgentToken,
			Openers: l.options.Openers, Closers: max(1, o.Closers/n),
		})
		if w != nil {
			c.workers = append(c.workers, w)
		}
		if err != nil {
			c.kill()
			return nil, err
		}
	}
	return c, nil
}

// tell gives a process a command. One that has ended is noticed by what it says last.
func (w *workerProcess) tell(command string) { io.WriteString(w.in, command+"\n") }

func (c *crowd) tell(command string) {
	for _, w := range c.workers {
		w.tell(command)
	}
}

// sum is what all processes have said together, and the first error.
func (c *crowd) sum() (total workerStatus, err error) {
	total.Closed, total.Cut, total.Refused = true, map[string]int{}, map[string]int{}
	for _, w := range c.workers {
		s, ended := w.now()
		if err == nil {
			err = ended
		}
		for kind, n := range s.Open {
			total.Open[kind] += n
		}
		if total.Failed == "" {
			total.Failed = s.Failed
		}
		for reason, n := range s.Cut {
			total.Cut[reason] += n
		}
		for code, n := range s.Refused {
			total.Refused[code] += n
		}
		total.Pings += s.Pings
		total.CPU += s.CPU
		total.Resident += s.Resident
		total.Closed = total.Closed && s.Closed
	}
	return total, err
}

// open lets all chats come and then all agents, lest these are told of every user: one
// process after the other. It returns what has ended that early, if anything has.
func (c *crowd) open(ctx context.Context, guard func() string) (stopped string, err error) {
	for _, command := range []string{commandChats, commandAgents} {
		for _, w := range c.workers {
			w.tell(command)
			stopped, err = w.await(ctx, command, guard)
			if stopped != "" || err != nil || ctx.Err() != nil {
				return stopped, err
			}
		}
	}
	return "", nil
}

// await waits until a process has done as it was told.
func (w *workerProcess) await(ctx context.Context, command string, guard func() string) (stopped string, err error) {
	for ; ; wait(ctx, pollEvery) {
		s, err := w.now()
		missing := 2*w.Chats.N - s.Open[kindUser] - s.Open[kindSupport]
		if command == commandAgents {
			missing += w.Agents.N - s.Open[kindAgent]
		}
		for _, n := range s.Cut {
			missing -= n
		}
		switch stopped := guard(); {
		case err != nil:
			return "", err
		case s.Failed != "":
			return s.Failed, nil
		case stopped != "":
			return stopped, nil
		case ctx.Err() != nil || missing <= 0:
			return "", nil
		}
	}
}

const (
	// tellEvery is how often a worker says how it is going, about.
	tellEvery = 300 * time.Millisecond
	// pollEvery is how often that is looked at.
	pollEvery = 100 * time.Millisecond
)

// close ends all connections and the processes, and reports how long that took. It
// gives up when nothing moves for a while.
func (c *crowd) close() (took time.Duration, err error) {
	start := time.Now()
	c.tell(commandClose)
	last, moved := -1, start
	for {
		s, err := c.sum()
		if err != nil || s.Closed {
			c.kill()
			return time.Since(start), err
		}
		if open := s.Open[kindUser] + s.Open[kindSupport] + s.Open[kindAgent]; open != last {
			last, moved = open, time.Now()
		}
		if time.Since(moved) > 2*setupTimeout {
			c.kill()
			return time.Since(start), fmt.Errorf("%d connections did not end", last)
		}
		time.Sleep(pollEvery)
	}
}

// kill ends the processes, whose connections the system closes then, and joins what
// follows them.
func (c *crowd) kill() {
	for _, w := range c.workers {
		w.in.Close()
	}
	for _, w := range c.workers {
		select {
		case <-w.ended:
		case <-time.After(setupTimeout):
			_ = w.command.Process.Kill() // it may have ended meanwhile
			<-w.ended
		}
	}
}

// merged are the histograms of all processes, which have ended.
func (c *crowd) merged() (joins [kinds]latencies, gaps latencies) {
	gaps = newLatencies()
	for kind := range joins {
		joins[kind] = newLatencies()
	}
	for _, w := range c.workers {
		s, _ := w.now()
		for kind, snapshot := range s.Joins {
			joins[kind].merge(snapshot)
		}
		gaps.merge(s.Gaps)
	}
	return joins, gaps
}

func (l latencies) merge(s *hdrhistogram.Snapshot) {
	if s != nil {
		l.mu.Lock()
		l.histogram.Merge(hdrhistogram.Import(s))
		l.mu.Unlock()
	}
}
