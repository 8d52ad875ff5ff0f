package web

import (
	"time"

	"livesupport/lobby/wire"
)

// flow bounds what comes from one socket, of whatever kind the frames are: a
// socket has used up so much time by each frame and each byte of it, and may be
// this far ahead of the clock.
type flow struct {
	perFrame, perByte float64 // nanoseconds; 0 for any number
}

// flowBurst is how many seconds' worth may come at once: what was on its way while
// a network stood still comes all together.
const flowBurst = 4 * time.Second

// newFlow lets so many frames and bytes a second pass, 0 for any number.
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

// used is how far a socket has come, for frames and for bytes, by the hub's clock.
type used struct{ frames, bytes int64 }

// allows counts a frame that came now, and reports whether the socket may go on.
func (f *flow) allows(u *used, size int, now int64) bool {
	u.frames = max(u.frames, now) + int64(f.perFrame)
	u.bytes = max(u.bytes, now) + int64(f.perByte*float64(size))
	return max(u.frames, u.bytes)-now <= int64(flowBurst)
}

var errFlood = &violation{wire.ClosePolicy, "too many frames or bytes in too short a time"}

// errFlooded is told to a client before it is closed.
var errFlooded = wire.NewError(wire.RateLimited, "You are sending too much too fast. Reconnect later.")

// flooded ends a socket from which too much has come. What still comes is dropped.
func (s *Socket) flooded() error {
	if s.isClosing() {
		return errFlood
	}
	s.hub.metrics.flooding.Inc()
	s.hub.log.Info("closed a socket: the client sends too much", "remote", s.conn.RemoteAddr(), "session", s.session)
	s.Queue(TextFrame(errFlooded.Payload("")))
	return errFlood
}
