package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

const (
	// maxFrame is larger than the history of a full chat.
	maxFrame = 512 << 20
	// writeLimit is how long writing a frame may take.
	writeLimit = 10 * time.Second
	// closeLimit is how long writing the last frame may take.
	closeLimit = time.Second
)

// socket is one WebSocket connection. One goroutine reads, another writes.
type socket struct {
	conn    net.Conn
	reader  io.Reader
	message bytes.Buffer // the parts so far of a message in several frames
}

func dial(ctx context.Context, url, token string, options Options) (*socket, error) {
	dialer := ws.Dialer{Timeout: patience, NetDial: options.Dial, TLSConfig: options.TLS}
	if token != "" {
		dialer.Header = ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + token}})
	}
	if rest, ok := strings.CutPrefix(url, "http"); ok {
		url = "ws" + rest
	}
	conn, early, _, err := dialer.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	if early == nil {
		early = bufio.NewReader(conn)
	}
	return &socket{conn: conn, reader: early}, nil
}

// closed is the error of a close frame from the server.
type closed struct{ code ws.StatusCode }

func (c closed) Error() string { return fmt.Sprintf("closed with %d", c.code) }

// maxControl is the maximum size of a control frame in bytes.
const maxControl = 125

// read returns the next text, or the answer to send to a control frame.
func (s *socket) read() (text, pong []byte, err error) {
	for {
		header, err := ws.ReadHeader(s.reader)
		if err != nil {
			return nil, nil, err
		}
		control := header.OpCode.IsControl()
		if header.Masked || (control && header.Length > maxControl) || header.Length+int64(s.message.Len()) > maxFrame {
			return nil, nil, errors.New("not a valid frame from a server")
		}
		if control {
			payload := make([]byte, header.Length)
			if _, err := io.ReadFull(s.reader, payload); err != nil {
				return nil, nil, err
			}
			switch header.OpCode {
			case ws.OpClose:
				code, _ := ws.ParseCloseFrameData(payload)
				return nil, nil, closed{code}
			case ws.OpPing:
				return nil, payload, nil
			}
			continue
		}
		// The buffer grows with the data, not with the announced length.
		if _, err := io.CopyN(&s.message, s.reader, header.Length); err != nil {
			return nil, nil, err
		}
		if header.Fin {
			text := bytes.Clone(s.message.Bytes())
			s.message.Reset()
			return text, nil, nil
		}
	}
}

func (s *socket) write(frame ws.Frame, limit time.Duration) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	encoded, err := ws.CompileFrame(ws.MaskFrameInPlace(frame))
	if err != nil {
		return err
	}
	_, err = s.conn.Write(encoded)
	return err
}

// end sends a close frame, if that is possible at once, and ends the connection.
func (s *socket) end() {
	_ = s.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")), closeLimit)
	_ = s.conn.Close()
}
