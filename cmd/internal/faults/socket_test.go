package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// dial opens a WebSocket.
func dial(ctx context.Context, addr, path string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+addr+path, &websocket.DialOptions{HTTPClient: plainHTTP})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
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
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			_, data, err := conn.Read(ctx)
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
	}
}

func write(ctx context.Context, conn *websocket.Conn, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
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
