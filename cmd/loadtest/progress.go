package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress is a line on a terminal that is written again and again. Its methods
// do nothing on nil.
type progress struct {
	out  io.Writer
	stop chan struct{}
	done chan struct{}
	mu   sync.Mutex
	line func() string
}

const (
	progressEvery = 250 * time.Millisecond
	clearLine     = "\r\x1b[K"
)

func startProgress(out io.Writer) *progress {
	p := &progress{out: out, stop: make(chan struct{}), done: make(chan struct{}), line: func() string { return "connecting" }}
	go p.run()
	return p
}

// show sets what makes the line from now on. It is called concurrently to
// everything else.
func (p *progress) show(line func() string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.line = line
	p.mu.Unlock()
}

func (p *progress) run() {
	defer close(p.done)
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		p.mu.Lock()
		line := p.line
		p.mu.Unlock()
		fmt.Fprint(p.out, clearLine, line())
		select {
		case <-ticker.C:
		case <-p.stop:
			fmt.Fprint(p.out, clearLine)
			return
		}
	}
}

// end wipes the line and joins the goroutine.
func (p *progress) end() {
	if p == nil {
		return
	}
	close(p.stop)
	<-p.done
}
