package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"livesupport/web/api/apitest"
)

// contracts hold the frames of the sockets that are open against the contract, by their
// connections: the end of all tests tells what was wrong.
var contracts sync.Map

func contractOf(conn *websocket.Conn) *apitest.Socket {
	kept, _ := contracts.Load(conn)
	socket, _ := kept.(*apitest.Socket)
	return socket
}

// dial opens a WebSocket.
func dial(ctx context.Context, addr, path string) (*websocket.Conn, error) {
	return dialAs(ctx, addr, path, "")
}

// dialAs opens one with the token of an agent, if there is one.
func dialAs(ctx context.Context, addr, path, token string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	options := &websocket.DialOptions{HTTPClient: plainHTTP}
	if token != "" {
		options.HTTPHeader = http.Header{"Authorization": {"Bearer " + token}}
	}
	conn, _, err := websocket.Dial(ctx, "ws://"+addr+path, options)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	contracts.Store(conn, apitest.NewSocket(path))
	return conn, nil
}

// frame is a text frame, or why there will be no more.
type frame struct {
	text string
	err  error
}

// listen reads a socket in a goroutine, which stop ends together with it.
func listen(conn *websocket.Conn) (frames <-chan frame, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	out := make(chan frame, 64)
	contract := contractOf(conn)
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			_, data, err := conn.Read(ctx)
			if err == nil {
				_ = contract.Got(string(data))
			}
			select {
			case out <- frame{string(data), err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
	return out, func() {
		cancel()
		_ = conn.CloseNow() // often closed already
		reader.Wait()
		_ = contract.Ended()
		contracts.Delete(conn)
	}
}

func write(ctx context.Context, conn *websocket.Conn, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	contractOf(conn).Sent(text)
	return conn.Write(ctx, websocket.MessageText, []byte(text))
}

func encode(kind string, args any) string {
	b, err := json.Marshal(map[string]any{"type": kind, "args": args})
	if err != nil {
		panic(err)
	}
	return string(b)
}

var errQuiet = errors.New("nothing came")

// next returns the next frame that is no heartbeat.
func next(frames <-chan frame, within time.Duration) (string, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		select {
		case f := <-frames:
			if f.err != nil || f.text != "ping" {
				return f.text, f.err
			}
		case <-timer.C:
			return "", errQuiet
		}
	}
}
