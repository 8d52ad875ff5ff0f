package web

import (
	"encoding/binary"
	"errors"
	"io"
	"syscall"
	"time"

	"livesupport/broker/rawio"
	"livesupport/lobby/wire"

	"github.com/gobwas/ws"
)

const (
	// maxMessage is the largest message in bytes, whole or in fragments (web/api/README.md,
	// "Errors and close codes": a larger one closes 1009).
	maxMessage = 64 << 10
	// smallBuffer is what an idle socket keeps for reading.
	smallBuffer = 512
)

// TextFrame makes an unmasked text frame. Frames may be joined.
func TextFrame(payload []byte) []byte { return frame(ws.OpText, payload) }

func frame(op ws.OpCode, payload []byte) []byte {
	b := make([]byte, 0, 10+len(payload))
	b = append(b, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func closeFrame(code int, reason string) []byte {
	return frame(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason))
}

// violation is a breach of RFC 6455, or of our limits, by the client.
type violation struct {
	code   int
	reason string
}

func (v *violation) Error() string { return v.reason }

var errTooBig = &violation{wire.CloseTooBig, "a message holds at most 65,536 bytes"}

// frameReader cuts the bytes of a connection into frames. It reads as much as
// its buffer takes, so a small frame costs one system call.
type frameReader struct {
	conn       io.Reader
	buf        []byte // what has been read and not been used: buf[from:to]
	from, to   int
	heard      func() int64 // called after each read; the time then, by clock
	fragmented bool         // between the first and the last fragment of a message
	skip       int64        // bytes of a frame that is too big to be looked at

	raw    syscall.RawConn // of conn; nil if it has none
	direct *rawio.Reader   // of raw; nil reads from conn
	clock  func() int64    // monotonic, in nanoseconds
	last   int64           // when the last read ended
	since  int64           // since when what it brought may have been there to be read
	// What was there at the looks before and is still to be read, the oldest first.
	waiting []arrival
}

// arrival is so many bytes that may have been there to be read since a time.
type arrival struct {
	bytes int
	since int64
}

const (
	// lateAfter is how long what has come may wait for the next read before it
	// counts. Whoever answers within that answers in time, however many wait.
	lateAfter = int64(5 * time.Millisecond)
	// lateBuffer takes what has come meanwhile, all at once if possible.
	lateBuffer = 4 << 10
)

// next returns the next frame, unmasked. The payload is valid until the
// following call. Errors are those of the connection, or a *violation.
func (r *frameReader) next() (op ws.OpCode, fin bool, payload []byte, err error) {
	if r.from == r.to && cap(r.buf) > smallBuffer {
		r.buf, r.from, r.to = nil, 0, 0
	}
	for {
		h, size, err := parseHeader(r.buf[r.from:r.to])
		if err != nil {
			return 0, false, nil, err
		}
		if size == 0 {
			if err := r.fill(ws.MaxHeaderSize); err != nil {
				return 0, false, nil, err
			}
			continue
		}
		state := ws.StateServerSide
		if r.fragmented {
			state = state.Set(ws.StateFragmented)
		}
		if err := ws.CheckHeader(h, state); err != nil {
			return 0, false, nil, &violation{wire.CloseProtocol, err.Error()}
		}
		if h.Length > maxMessage {
			r.skip = int64(size) + h.Length
			return 0, false, nil, errTooBig
		}
		whole := size + int(h.Length)
		if r.to-r.from < whole {
			if err := r.fill(whole); err != nil {
				return 0, false, nil, err
			}
			continue
		}
		payload = r.buf[r.from+size : r.from+whole]
		r.from += whole
		ws.Cipher(payload, h.Mask, 0)
		if !h.OpCode.IsControl() {
			r.fragmented = !h.Fin
		}
		return h.OpCode, h.Fin, payload, nil
	}
}

// fill reads once, with room for a frame of need bytes.
func (r *frameReader) fill(need int) error {
	r.look()
	late := len(r.waiting) > 0
	if late {
		need = max(need, lateBuffer)
	}
	if r.from > 0 {
		r.to = copy(r.buf, r.buf[r.from:r.to])
		r.from = 0
	}
	if need > len(r.buf) {
		grown := make([]byte, max(need, smallBuffer))
		copy(grown, r.buf[:r.to])
		r.buf = grown
	}
	n, err := r.read(r.buf[r.to:])
	r.to += n
	r.last = r.heard()
	r.since = r.last
	if late {
		r.since = r.waiting[0].since
	}
	r.take(n)
	if n > 0 {
		return nil
	}
	return err
}

func (r *frameReader) read(b []byte) (int, error) {
	if r.direct == nil {
		return r.conn.Read(b)
	}
	return r.direct.Read(r.raw, b)
}

// look notes what has come since the last read, if that is long ago or has left
// something behind: a client that goes on sending is not late for that.
func (r *frameReader) look() {
	if len(r.waiting) == 0 && r.clock()-r.last <= lateAfter {
		return
	}
	fresh := readable(r.raw)
	for _, a := range r.waiting {
		fresh -= a.bytes
	}
	if fresh > 0 {
		r.waiting = append(r.waiting, arrival{fresh, r.last})
	}
}

// take notes that n bytes have been read.
func (r *frameReader) take(n int) {
	for n > 0 && len(r.waiting) > 0 {
		first := &r.waiting[0]
		if n < first.bytes {
			first.bytes -= n
			return
		}
		n -= first.bytes
		r.waiting = r.waiting[1:]
	}
	if len(r.waiting) == 0 {
		r.waiting = nil
	}
}

// idle reports whether it stands between two messages, with nothing left to be used.
func (r *frameReader) idle() bool {
	return r.from == r.to && !r.fragmented && len(r.waiting) == 0
}

// skipFrame passes over the frame that was too big.
func (r *frameReader) skipFrame() error {
	for r.skip > 0 {
		if r.from == r.to {
			r.from, r.to = 0, 0
			if err := r.fill(smallBuffer); err != nil {
				return err
			}
		}
		n := min(r.skip, int64(r.to-r.from))
		r.from += int(n)
		r.skip -= n
	}
	return nil
}

// parseHeader reads the header at the start of b and returns its size; 0 if b
// does not hold all of it.
func parseHeader(b []byte) (h ws.Header, size int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Fin = b[0]&0x80 != 0
	h.Rsv = b[0] & 0x70 >> 4
	h.OpCode = ws.OpCode(b[0] & 0x0f)
	h.Masked = b[1]&0x80 != 0
	h.Length = int64(b[1] & 0x7f)
	size = 2
	switch h.Length {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	mask := size
	if h.Masked {
		size += 4
	}
	if len(b) < size {
		return h, 0, nil
	}
	switch mask {
	case 4:
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
	case 10:
		if b[2]&0x80 != 0 {
			return h, 0, &violation{wire.CloseProtocol, ws.ErrHeaderLengthMSB.Error()}
		}
		h.Length = int64(binary.BigEndian.Uint64(b[2:]))
	}
	if h.Masked {
		copy(h.Mask[:], b[mask:])
	}
	return h, size, nil
}

// parseClose checks the payload of a close frame and returns the code with
// which to answer.
func parseClose(payload []byte) (int, error) {
	if len(payload) == 0 {
		return wire.CloseNormal, nil
	}
	if len(payload) == 1 {
		return 0, errors.New("close frame without a whole code")
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if code > 4999 { // RFC 6455, 7.4.2: not for anybody
		return 0, ws.ErrProtocolStatusCodeNotInUse
	}
	return int(code), ws.CheckCloseFrameData(code, reason)
}
