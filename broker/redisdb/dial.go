package redisdb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// sealed marks, in the context of a dial, a pub/sub connection that must not be
// replaced behind its owner's back.
type sealed struct{}

var errSealed = errors.New("redis: connection lost")

// dialer returns a dial function for go-redis, whose own cannot be told to give
// up when the DB is closed.
func dialer(lifetime context.Context, timeout time.Duration, tlsConfig *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	dial := d.DialContext
	if tlsConfig != nil {
		dial = (&tls.Dialer{NetDialer: d, Config: tlsConfig}).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if flag, ok := ctx.Value(sealed{}).(*atomic.Bool); ok && flag.Load() {
			return nil, errSealed
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		defer context.AfterFunc(lifetime, cancel)()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			// After a few failed dials go-redis's pool stops dialling and looks once
			// a second, from a goroutine that outlives Close. A connection on which
			// everything fails with the same error spares us that. It takes off one
			// layer of the error, which must not be the one that tells the address.
			return brokenConn{fmt.Errorf("connect: %w", err)}, nil
		}
		return conn, nil
	}
}

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
