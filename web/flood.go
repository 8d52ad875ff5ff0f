package web

import (
	"time"

	"livesupport/lobby/wire"
)

// flow limits the frames and bytes that come from one socket, whatever the frames are.
// Each frame and each byte uses up some time, and a socket may be flowBurst ahead of the
// clock.
type flow struct {
	perFrame, perByte float64 // nanoseconds; 0 for any number
}

// flowBurst is how many seconds' worth may come at once, because frames that a network
// has held back arrive all together.
const flowBurst = 4 * time.Second

// newFlow allows the given numbers of frames and bytes per second; 0 means no limit.
func newFlow(frames, bytes float64) flow {
	var f flow
	if frames > 0 {
		f.perFrame = float64(time.Second) / frames
	}
	if bytes > 0 {
		f.perByte = float64(time.Second) / bytes
	}
	return f
}

// used is the time that a socket has used up, for frames and for bytes, by the hub's
// clock.
type used struct{ frames, bytes int64 }

// allows counts a frame that came now, and reports whether the socket is within its
// limits.
func (f *flow) allows(u *used, size int, now int64) bool {
	u.frames = max(u.frames, now) + int64(f.perFrame)
	u.bytes = max(u.bytes, now) + int64(f.perByte*float64(size))
	return max(u.frames, u.bytes)-now <= int64(flowBurst)
}

var errFlood = &violation{wire.ClosePolicy, "too many frames or bytes in too short a time"}

// errFlooded is sent to a client before its socket is closed.
var errFlooded = wire.NewError(wire.RateLimited, "You are sending too much, too fast. Reconnect later.")

// flooded ends a socket whose client sends too much, and drops further frames.
func (s *Socket) flooded() error {
	if s.isClosing() {
		return errFlood
	}
	s.hub.metrics.flooding.Inc()
	s.hub.log.Info("closed a socket: its client sends too much", "remote", remoteAddr(s.conn), "session", s.session)
	s.Queue(TextFrame(errFlooded.Payload("")))
	return errFlood
}
