package web

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// arriving is a connection on which something comes when it is read, not before.
type arriving struct {
	net.Conn
	send func()
}

func (c *arriving) Read(p []byte) (int, error) {
	if c.send != nil {
		c.send()
		c.send = nil
	}
	return c.Conn.Read(p)
}

// TestReadableSince: a message that has waited while others were handled counts
// from the read before it, however many follow each other; one for which the reader
// has waited counts from when it came.
func TestReadableSince(t *testing.T) {
	client, server := connect(t)
	var now int64 // in seconds
	clock := func() int64 { return now * int64(time.Second) }
	conn := &arriving{Conn: server}
	r := &frameReader{conn: conn, heard: clock, clock: clock, raw: rawConn(server)}
	send := func(texts ...string) {
		var all []byte
		for _, text := range texts {
			all = append(all, masked(ws.NewTextFrame([]byte(text)))...)
		}
		if _, err := client.Write(all); err != nil {
			t.Error(err)
		}
		buf := make([]byte, len(all))
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // until all of it is there
			n := 0
			err := r.raw.Read(func(fd uintptr) bool {
				n, _, _ = syscall.Recvfrom(int(fd), buf, syscall.MSG_PEEK)
				return true
			})
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("%d bytes have come, %v", n, err)
			}
			if n == len(buf) {
				return
			}
		}
	}
	long := strings.Repeat("x", 2*lateBuffer)
	for _, step := range []struct {
		at     int64
		before []string // come while the last one was handled
		during []string // come when there is nothing more to read
		want   string
		since  int64
	}{
		{at: 1, during: []string{"a"}, want: "a", since: 1},
		{at: 3, during: []string{"b"}, want: "b", since: 3},
		{at: 4, before: []string{"c", "d"}, want: "c", since: 3},
		{at: 6, want: "d", since: 3}, // has come with c
		{at: 7, before: []string{"e"}, want: "e", since: 4},
		{at: 8, before: []string{"f"}, want: "f", since: 7},
		{at: 9, before: []string{long, "g"}, want: long, since: 8},
		{at: 10, want: "g", since: 8}, // was left behind by the read of the long one
		{at: 11, during: []string{"h"}, want: "h", since: 11},
		{at: 99, during: []string{long}, want: long, since: 99},
		{at: 100, during: []string{"i"}, want: "i", since: 100},
		{at: 101, before: []string{long, "j"}, want: long, since: 100},
		{at: 102, before: []string{long}, want: "j", since: 100},
		{at: 103, want: long, since: 101}, // of a client that goes on sending, each has its own time
	} {
		now = step.at
		if step.before != nil {
			send(step.before...)
		}
		if step.during != nil {
			conn.send = func() { send(step.during...) }
		}
		_, _, payload, err := r.next()
		if err != nil || string(payload) != step.want {
			t.Fatalf("at %d: got %.20q, %v", step.at, payload, err)
		}
		if got := time.Duration(r.since); got != time.Duration(step.since)*time.Second {
			t.Errorf("at %d: %.20q counts from %v, want %d s", step.at, step.want, got, step.since)
		}
	}
}
