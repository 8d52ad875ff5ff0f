package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// told is a frame of either server, with the fields that the tests of teams check.
type told struct {
	Type string
	Args struct {
		message
		Messages                  []message
		Code, Reason              string
		SupportUserName, Username string
		ChatID, Agent             string
		Users                     []visitor
		Agents                    []struct {
			Agent string
			Chats int
		}
	}
	text string // all of it
}

// send writes a frame.
type send func(kind string, args any) error

// caller is somebody with one socket.
type caller struct {
	addr, path string
	role       string           // which answers the heartbeat: User, or else as a support
	token      string           // an agent's, or ""
	begin      func() string    // makes the Join or the Load, again if the store was away
	receive    func(told) error // takes a frame
	tick       func(send) error // comes every few milliseconds, once the first frame is answered
}

// call is the life of one socket: until receive or tick end it, or the server does.
func (w *world) call(ctx context.Context, c caller) error {
	conn, err := dialAs(ctx, c.addr, c.path, c.token)
	if err != nil {
		return err
	}
	frames, stop := listen(conn)
	defer stop()
	clock := time.NewTicker(10 * time.Millisecond)
	defer clock.Stop()
	pong := "pong:support"
	if c.role == "User" {
		pong = "pong:user"
	}
	sends := func(kind string, args any) error { return write(ctx, conn, encode(kind, args)) }
	heard, beginAt, begun := time.Now(), time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-frames:
			if f.err != nil {
				return f.err
			}
			heard = time.Now()
			if f.text == "ping" {
				err = write(ctx, conn, pong)
				break
			}
			frame := told{text: f.text}
			if err := json.Unmarshal([]byte(f.text), &frame); err != nil {
				return err
			}
			if frame.Type == "Error" && frame.Args.Code == "unavailable" && !begun {
				beginAt = time.Now().Add(100 * time.Millisecond)
				break
			}
			begun = begun || frame.Type != "Error"
			err = c.receive(frame)
		case now := <-clock.C:
			switch {
			case now.Sub(heard) > silentServer:
				return errors.New("the server is silent")
			case !beginAt.IsZero() && now.After(beginAt):
				beginAt = time.Time{}
				err = write(ctx, conn, c.begin())
			case begun:
				err = c.tick(sends)
			}
		}
		if err != nil {
			return err
		}
	}
}
