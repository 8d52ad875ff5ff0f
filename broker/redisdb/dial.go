package redisdb

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"livesupport/broker/rawio"
)

// sealed marks, in the context of a dial, a pub/sub connection that go-redis must not replace
// unnoticed. Its value is a *seal.
type sealed struct{}

type seal struct {
	closed atomic.Bool  // no dial any more
	addr   atomic.Value // string: of the latest dial
}

var errSealed = errors.New("redis: connection lost")

// dialer returns a dial function for go-redis that gives up when the DB is closed, unlike go-redis's
// own. tlsConfig makes the configuration of a connection, nil for one without TLS.
func dialer(lifetime context.Context, timeout time.Duration, tlsConfig func() (*tls.Config, error)) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		config, err := tlsConfig()
		if err != nil {
			return nil, err
		}
		if config != nil {
			return (&tls.Dialer{NetDialer: d, Config: config}).DialContext(ctx, network, addr)
		}
		return d.DialContext(ctx, network, addr)
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if s, ok := ctx.Value(sealed{}).(*seal); ok {
			if s.closed.Load() {
				return nil, errSealed
			}
			s.addr.Store(addr)
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		defer context.AfterFunc(lifetime, cancel)()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			// After a few failed dials, go-redis's pool dials only once a second, from a
			// goroutine that outlives Close. A connection on which everything fails with
			// the same error avoids that. go-redis removes one layer of the error, which
			// must not be the one with the address.
			return brokenConn{fmt.Errorf("connect: %w", err)}, nil
		}
		return &farewell{Conn: rawio.Wrap(conn), addr: addr}, nil
	}
}

// farewell is a connection whose error is the server's last message before it hung up, if there was
// one, such as "max number of clients reached" instead of a broken pipe.
type farewell struct {
	net.Conn
	addr    string // as it was dialled
	heard   bool   // something was read; used only by the reading goroutine
	refused atomic.Pointer[string]
}

// refusals are what Redis says to a connection before it hangs up.
var refusals = []string{"ERR max number of clients reached", "DENIED Redis is running in protected mode"}

// Read records whether the server refuses the connection, because go-redis takes that message for
// an answer to its HELLO and goes on.
func (c *farewell) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.heard && n > 0 {
		c.heard = true
		for _, refusal := range refusals {
			if bytes.HasPrefix(b[:n], []byte("-"+refusal)) {
				c.refused.Store(&refusal)
			}
		}
	}
	return n, c.told(err)
}

// told returns err, or the reason that the server has sent before it hung up.
func (c *farewell) told(err error) error {
	if refusal := c.refused.Load(); err != nil && refusal != nil {
		return fmt.Errorf("the server hung up: %s", *refusal)
	}
	return err
}

func (c *farewell) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if told := c.told(err); told != err {
		return n, told
	}
	said := make([]byte, 512)
	_ = c.Conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // the message has already arrived
	m, readErr := c.Conn.Read(said)
	if m > 0 && said[0] == '-' {
		line, _, _ := strings.Cut(string(said[1:m]), "\r\n")
		return n, fmt.Errorf("the server hung up: %s", line)
	}
	// With TLS 1.3, a client only learns now that its certificate was refused.
	if alert := (*net.OpError)(nil); errors.As(readErr, &alert) && alert.Op == "remote error" {
		return n, readErr
	}
	return n, err
}

// SyscallConn lets go-redis check whether an idle connection is still alive.
func (c *farewell) SyscallConn() (syscall.RawConn, error) {
	conn, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := conn.SyscallConn()
	return quietConn{raw}, err
}

// quietConn is the connection for go-redis's look whether it is alive. As long as it is and nothing
// has come, the look needs no word to Go's scheduler.
type quietConn struct{ syscall.RawConn }

func (c quietConn) Read(look func(fd uintptr) bool) error {
	quiet := false
	err := c.RawConn.Control(func(fd uintptr) { quiet = rawio.Quiet(fd) })
	if err == nil && quiet {
		return nil
	}
	return c.RawConn.Read(look)
}

// config makes the configuration of a connection. base is that of the URL, nil if its scheme does not
// ask for TLS.
func (t TLS) config(base *tls.Config) (*tls.Config, error) {
	if t == (TLS{}) {
		return base, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		config = base.Clone()
	}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s contains no PEM certificate", t.CA)
		}
	}
	switch {
	case t.Cert != "" && t.Key != "":
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", t.Cert, t.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	case t.Cert != "" || t.Key != "":
		return nil, errCertPair
	}
	return config, nil
}

var errCertPair = errors.New("a client certificate and its key go together")

// brokenConn is a connection that could not be made.
type brokenConn struct{ err error }

func (c brokenConn) Read([]byte) (int, error)         { return 0, c.err }
func (c brokenConn) Write([]byte) (int, error)        { return 0, c.err }
func (c brokenConn) Close() error                     { return nil }
func (c brokenConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c brokenConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c brokenConn) SetDeadline(time.Time) error      { return nil }
func (c brokenConn) SetReadDeadline(time.Time) error  { return nil }
func (c brokenConn) SetWriteDeadline(time.Time) error { return nil }
