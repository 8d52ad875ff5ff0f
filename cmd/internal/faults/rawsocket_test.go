package faults_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// rawSocket is a WebSocket that can write any bytes.
type rawSocket struct {
	net.Conn
	r *bufio.Reader
}

const upgradeRequest = "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// dialRaw upgrades a connection with a small receive buffer.
func dialRaw(addr, path string) (*rawSocket, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(4096) // a wish
	s := &rawSocket{conn, bufio.NewReaderSize(conn, 512)}
	if err := s.upgrade(path); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *rawSocket) upgrade(path string) error {
	s.SetDeadline(time.Now().Add(10 * time.Second))
	defer s.SetDeadline(time.Time{})
	if _, err := fmt.Fprintf(s, upgradeRequest, path); err != nil {
		return err
	}
	status, err := s.r.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.Contains(status, " 101 ") {
		return errors.New(status)
	}
	for {
		line, err := s.r.ReadString('\n')
		if err != nil || line == "\r\n" {
			return err
		}
	}
}

// rawFrame returns a masked frame with this first byte.
func rawFrame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

func rawText(payload string) []byte { return rawFrame(0x81, payload) }

// frame reads one frame of the server. These are unmasked and not fragmented.
func (s *rawSocket) frame() (op byte, payload string, err error) {
	var h [2]byte
	if _, err := io.ReadFull(s.r, h[:]); err != nil {
		return 0, "", err
	}
	n := uint64(h[1] & 0x7f)
	extended := map[uint64]int{126: 2, 127: 8}[n]
	var size [8]byte
	if _, err := io.ReadFull(s.r, size[8-extended:]); err != nil {
		return 0, "", err
	}
	if extended > 0 {
		n = binary.BigEndian.Uint64(size[:])
	}
	body := make([]byte, min(n, 1<<20))
	_, err = io.ReadFull(s.r, body)
	return h[0] & 0x0f, string(body), err
}

// ending is how the server has ended a socket.
type ending struct {
	code int // of its close frame; 0 if there was none
	last string
	err  error // when not even the connection has ended
}

// end reads until the server ends the connection.
func (s *rawSocket) end(within time.Duration) (e ending) {
	s.SetReadDeadline(time.Now().Add(within))
	for {
		op, payload, err := s.frame()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			e.err = err
			return e
		case err != nil:
			return e
		case op == 8 && len(payload) >= 2:
			e.code = int(binary.BigEndian.Uint16([]byte(payload)))
			// A good client answers; then the server ends the connection.
			_, _ = s.Write(rawFrame(0x88, payload[:2])) // it may have gone
		case op == 1 && payload != "ping":
			e.last = payload
		}
	}
}
