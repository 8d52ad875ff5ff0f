package web

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// TestCutRequest: a request in progress is cut when the server ends, and the process survives that.
func TestCutRequest(t *testing.T) {
	r := requests{open: map[net.Conn]struct{}{}}
	entered, proceed := make(chan struct{}), make(chan struct{})
	server := &fasthttp.Server{
		ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute,
		ConnState: r.note,
		Handler: func(*fasthttp.RequestCtx) {
			close(entered)
			<-proceed
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	_, err = io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-entered
	require.NoError(t, l.Close())
	require.NoError(t, <-served)

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.cut(short), context.DeadlineExceeded)
	close(proceed)
	long, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, r.cut(long))
	client.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err = io.ReadAll(client)
	require.NoError(t, err)
}

// TestKeepAlive: a connection without a request stays open for as long as it should,
// and is closed then.
func TestKeepAlive(t *testing.T) {
	const keep = 400 * time.Millisecond
	n := startNoticing(t, func(o *Options) { o.KeepAlive = keep })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- n.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	answers := bufio.NewReader(conn)
	var last time.Time
	for range 2 {
		last = time.Now()
		_, err = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		response, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
	}
	_, err = answers.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.GreaterOrEqual(t, time.Since(last), keep)
	require.NoError(t, n.Shutdown(t.Context()))
	require.NoError(t, <-served)
}
