package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

const (
	// setupTimeout bounds each step of opening: a request, a connection, the
	// answer to a Join.
	setupTimeout = 15 * time.Second
	// writeTimeout is how long a server may leave a message in the system's buffers.
	writeTimeout = 10 * time.Second
	// readBuffer is what an idle connection keeps.
	readBuffer = 512
	// maxMessage is the longest message that is taken from a server: a history of
	// 10,000 messages with the longest content, escaped.
	maxMessage = 512 << 20
)

// socket is a WebSocket client. One goroutine reads; any may send.
//
// gobwas/ws makes no goroutine and no buffer of its own: tens of thousands of
// connections fit into a small generator.
type socket struct {
	load   *load
	conn   net.Conn
	in     *bufio.Reader
	text   []byte // the message that next has returned last
	pong   []byte // the whole frame that answers a heartbeat
	pinged time.Time
}

// end is whose end of a connection a socket is.
type end struct {
	pong  []byte // the whole frame that answers a heartbeat
	agent bool   // who shows the token, if there is one
}

var (
	userEnd  = &end{clientFrame(ws.OpText, []byte("pong:user")), false}
	agentEnd = &end{clientFrame(ws.OpText, []byte("pong:support")), true}
)

// clientFrame makes a masked frame.
func clientFrame(op ws.OpCode, payload []byte) []byte {
	return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, true, payload)))
}

// closedError is the close frame with which a server ended a connection.
type closedError struct {
	code   ws.StatusCode
	reason string
}

func (e *closedError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("close %d %s", e.code, e.reason))
}

// sources are the local addresses of connections.
type sources struct {
	addresses []netip.Addr // empty: the system chooses
	turn      atomic.Uint64
}

// crowded is how many connections from one address to one other are too many
// for the usual range of ports, with those of a test that has just ended.
const crowded = 10_000

// choose sets the addresses for that many connections to those servers, unless
// they are given.
func (s *sources) choose(given []string, connections int, urls []string) {
	for _, text := range given {
		s.addresses = append(s.addresses, netip.MustParseAddr(text))
	}
	if len(given) > 0 || connections <= crowded || !manyLoopbacks {
		return
	}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		if ip, err := netip.ParseAddr(u.Hostname()); err != nil || !ip.Is4() || !ip.IsLoopback() {
			return
		}
	}
	for n := range max(16, (connections+crowded-1)/crowded) {
		s.addresses = append(s.addresses, netip.AddrFrom4([4]byte{127, 0, byte(n / 250), byte(2 + n%250)}))
	}
}

func (s *sources) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: setupTimeout}
	if n := uint64(len(s.addresses)); n > 0 {
		ip := s.addresses[s.turn.Add(1)%n]
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
		d.Control = bindLate
	}
	conn, err := d.DialContext(ctx, network, address)
	if errors.Is(err, syscall.EMFILE) {
		err = fmt.Errorf("%w: raise the limit of open files (ulimit -n)", err)
	}
	return conn, err
}

// dial opens a WebSocket at a path of the server at base.
func (l *load) dial(ctx context.Context, base, path string, whose *end) (*socket, error) {
	d := ws.Dialer{
		Timeout:         setupTimeout,
		NetDial:         l.sources.dial,
		ReadBufferSize:  readBuffer,
		WriteBufferSize: readBuffer,
	}
	if whose.agent && l.options.AgentToken != "" {
		d.Header = ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + l.options.AgentToken}}
	}
	address := "ws" + strings.TrimPrefix(base, "http") + path
	conn, early, _, err := d.Dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	s := &socket{load: l, conn: conn, pong: whose.pong, in: early}
	if early == nil {
		s.in = bufio.NewReaderSize(conn, readBuffer)
	}
	l.opened(s)
	return s, nil
}

// next returns the next message, valid until the following call. It answers the
// heartbeat, and pings of WebSocket itself.
func (s *socket) next() ([]byte, error) {
	s.text = s.text[:0]
	if cap(s.text) > 64*readBuffer {
		s.text = nil
	}
	for {
		h, err := ws.ReadHeader(s.in)
		if err != nil {
			return nil, err
		}
		if h.Masked || h.Rsv != 0 || h.Length > int64(maxMessage-len(s.text)) {
			return nil, fmt.Errorf("frame that a server must not send: %+v", h)
		}
		from := len(s.text)
		if need := from + int(h.Length); need > cap(s.text) {
			s.text = append(make([]byte, 0, need), s.text...)
		}
		s.text = s.text[:from+int(h.Length)]
		payload := s.text[from:]
		if _, err := io.ReadFull(s.in, payload); err != nil {
			return nil, err
		}
		switch {
		case h.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			return nil, &closedError{code, reason}
		case h.OpCode == ws.OpPing:
			err = s.write(clientFrame(ws.OpPong, payload))
			s.text = s.text[:from]
		case h.OpCode == ws.OpPong:
			s.text = s.text[:from]
		case !h.Fin:
		case string(s.text) == "ping":
			err = s.heartbeat()
			s.text = s.text[:0]
		default:
			return s.text, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (s *socket) heartbeat() error {
	now := time.Now()
	if !s.pinged.IsZero() {
		s.load.gaps.record(now.Sub(s.pinged))
	}
	s.pinged = now
	s.load.pings.Add(1)
	return s.write(s.pong)
}

func (s *socket) send(payload []byte) error { return s.write(clientFrame(ws.OpText, payload)) }

// write hands over a whole frame in one call, so that frames of several
// goroutines do not mix.
func (s *socket) write(frame []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(frame)
	return err
}

// ask sends a request and reads until a message of the wanted type, which it
// returns. A refusal is an error.
func (s *socket) ask(request []byte, want string) (message, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(setupTimeout)); err != nil {
		return message{}, err
	}
	if err := s.send(request); err != nil {
		return message{}, err
	}
	m, err := s.await(want)
	if err != nil {
		return message{}, err
	}
	return m, s.conn.SetReadDeadline(time.Time{})
}

// await is the reading half of ask.
func (s *socket) await(want string) (message, error) {
	for {
		text, err := s.next()
		if err != nil {
			return message{}, fmt.Errorf("waiting for %s: %w", want, err)
		}
		m, err := decode(text)
		switch {
		case err != nil:
			return message{}, err
		case m.Type == want:
			return m, nil
		case m.Type == "Error":
			return message{}, fmt.Errorf("waiting for %s: refused with %s: %s", want, m.Args.Code, m.Args.Message)
		case m.Type == "ChatExpired":
			return message{}, fmt.Errorf("waiting for %s: the chat has expired", want)
		}
	}
}
