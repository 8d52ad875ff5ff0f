package client_test

import (
	"context"
	"encoding/json"
	"net"
	"sync"

	"github.com/gobwas/ws"
)

// server is the other end of all connections.
type server struct {
	mu      sync.Mutex
	conns   []net.Conn // upgraded
	dialled int
	frames  []frame // that came over the last one
	reading sync.WaitGroup
}

type frame struct {
	Type string
	Args object
}

func (s *server) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	s.mu.Lock()
	s.dialled++
	s.mu.Unlock()
	s.reading.Go(func() { s.serve(ours) })
	return theirs, nil
}

func (s *server) serve(conn net.Conn) {
	if _, err := ws.Upgrade(conn); err != nil {
		return
	}
	s.mu.Lock()
	s.conns, s.frames = append(s.conns, conn), nil
	s.mu.Unlock()
	for {
		next, err := ws.ReadFrame(conn)
		if err != nil || next.Header.OpCode == ws.OpClose {
			_ = conn.Close()
			return
		}
		var f frame
		if json.Unmarshal(ws.UnmaskFrameInPlace(next).Payload, &f) != nil {
			continue // a pong
		}
		s.mu.Lock()
		s.frames = append(s.frames, f)
		s.mu.Unlock()
	}
}

func (s *server) last() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[len(s.conns)-1]
}

func (s *server) write(text string) { _ = ws.WriteFrame(s.last(), ws.NewTextFrame([]byte(text))) }

// drop closes the last connection with a code, or without a word for 1006.
func (s *server) drop(code int) {
	if code != 1006 {
		_ = ws.WriteFrame(s.last(), ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), "")))
	}
	_ = s.last().Close()
}

func (s *server) close() {
	s.mu.Lock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.reading.Wait()
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialled
}

func (s *server) takeFirst() (frame, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.frames) == 0 {
		return frame{}, false
	}
	first := s.frames[0]
	s.frames = s.frames[1:]
	return first, true
}

// take returns the first of a type that has not been taken.
func (s *server) take(kind string) (object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.frames {
		if f.Type == kind {
			s.frames = append(s.frames[:i:i], s.frames[i+1:]...)
			return f.Args, true
		}
	}
	return nil, false
}
