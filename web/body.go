package web

import (
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"livesupport/chat/files"
)

// fasthttp passes every body on as a stream, so that uploads need not be in memory. For all
// other routes, readBody reads the whole body, within the route's limit.

// isUpload reports whether a request's body is a file, which its route reads as a stream.
func (s *Server) isUpload(c *fiber.Ctx) bool {
	path, chat := strings.CutPrefix(c.Path(), "/chat/")
	return chat && s.options.Uploads != nil && c.Method() == fiber.MethodPost && strings.HasSuffix(strings.TrimSuffix(path, "/"), "/files")
}

// streamLimit returns fasthttp's limit for a body. With streams the limit must not apply,
// because fasthttp handles larger bodies differently.
func (s *Server) streamLimit() int {
	if s.options.Uploads == nil {
		return s.bodyLimit()
	}
	return math.MaxInt
}

// uploadLocal is the key of the body of an upload, kept for its route.
const uploadLocal = "upload"

// readBody reads the whole body of a request.
func (s *Server) readBody(c *fiber.Ctx) error {
	request := c.Request()
	stream := request.BodyStream()
	if s.isUpload(c) {
		err := c.Next()
		if body, ok := c.Locals(uploadLocal).(*upload); ok {
			body.end(c)
		} else {
			c.Context().SetConnectionClose()
		}
		return err
	}
	if stream == nil {
		return c.Next()
	}
	limit := s.bodyLimit()
	if request.Header.ContentLength() > limit {
		c.Context().SetConnectionClose() // the rest of the body is not a request
		return fiber.ErrRequestEntityTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(stream, int64(limit)+1))
	switch {
	case err == nil && len(body) <= limit && (request.Header.ContentLength() < 0 || len(body) == request.Header.ContentLength()):
		request.SetBodyRaw(body)
		return c.Next()
	case len(body) > limit:
		err = fiber.ErrRequestEntityTooLarge
	case isTimeout(err):
		err = fiber.ErrRequestTimeout
	default:
		err = fiber.ErrBadRequest
	}
	c.Context().SetConnectionClose()
	return err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// errCutOff is the error of reading an upload if its client has gone or sends too slowly.
var errCutOff = errors.New("web: the upload was cut off")

// upload is the body of an upload. It must arrive at files.MinRate or faster.
type upload struct {
	stream   io.Reader
	conn     net.Conn
	began    time.Time
	length   int // as announced, negative if it was not announced
	read     int
	complete bool
	cut      bool
}

func newUpload(c *fiber.Ctx) *upload {
	request := c.Request()
	u := &upload{stream: request.BodyStream(), conn: c.Context().Conn(), began: time.Now(), length: request.Header.ContentLength()}
	if u.stream == nil {
		u.stream, u.length, u.complete = eofReader{}, 0, true
	}
	return u
}

type eofReader struct{}

func (eofReader) Read([]byte) (int, error) { return 0, io.EOF }

// patience returns the time by which a client must have transferred the first n bytes.
func patience(began time.Time, n int) time.Time {
	return began.Add(files.SlowGrace + time.Duration(n)*time.Second/files.MinRate)
}

// Read implements io.Reader. For a body that was cut off it never returns io.EOF.
func (u *upload) Read(p []byte) (int, error) {
	if u.complete {
		return 0, io.EOF
	}
	if err := u.conn.SetReadDeadline(patience(u.began, u.read)); err != nil {
		return 0, errCutOff
	}
	n, err := u.stream.Read(p)
	u.read += n
	switch {
	case err == nil:
	case err == io.EOF && u.length >= 0 && u.read == u.length, err == io.EOF && u.length < 0 && u.connected():
		u.complete = true
	default:
		err, u.cut = errCutOff, true
	}
	return n, err
}

// connected reports whether the client is still connected, because fasthttp does not
// distinguish the end of a chunked body from the end of the connection. The connection is
// not used afterwards.
func (u *upload) connected() bool {
	var b [1]byte
	if err := u.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return false
	}
	_, err := u.conn.Read(b[:])
	return err == nil || isTimeout(err)
}

const (
	// drainTime and drainSize bound how much of a refused upload is still read. Without
	// that, a client that is still sending would not see the response.
	drainTime = 5 * time.Second
	drainSize = 16 << 20
)

// end leaves the connection in order, because unread bytes would be taken for the next
// request.
func (u *upload) end(c *fiber.Ctx) {
	if u.complete && u.length >= 0 {
		return
	}
	c.Context().SetConnectionClose()
	if u.complete || u.cut {
		return
	}
	if u.conn.SetReadDeadline(time.Now().Add(drainTime)) == nil {
		_, _ = io.CopyN(io.Discard, u.stream, drainSize) // errors do not matter here
	}
}
